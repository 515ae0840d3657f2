/* x264's parameters and calls, for x264.rs. */

#include <stddef.h>
#include <stdint.h>

#include <x264.h>

void *teiten_x264_open(int width, int height, int crf, const uint8_t colour[3])
{
    x264_param_t p;
    if (x264_param_default_preset(&p, "ultrafast", "zerolatency") < 0)
        return NULL;
    p.i_log_level = X264_LOG_NONE;
    p.i_threads = 1;
    p.b_deterministic = 1;
    p.i_csp = X264_CSP_I420;
    p.i_width = width;
    p.i_height = height;
    /* The true times are the container's; these only say which picture comes next. */
    p.b_vfr_input = 0;
    p.i_fps_num = 30;
    p.i_fps_den = 1;
    /* One IDR picture, the first. */
    p.i_keyint_max = X264_KEYINT_MAX_INFINITE;
    p.i_scenecut_threshold = 0;
    /* About half the bits of "ultrafast" for little more time. */
    p.b_cabac = 1;
    p.b_deblocking_filter = 1;
    p.rc.i_aq_mode = X264_AQ_VARIANCE;
    p.analyse.i_subpel_refine = 1;
    p.rc.i_rc_method = X264_RC_CRF;
    p.rc.f_rf_constant = (float)crf;
    /* Parameter sets that do not change with the rate factor. */
    p.b_stitchable = 1;
    p.b_repeat_headers = 1;
    p.b_annexb = 0;
    p.vui.b_fullrange = 1;
    p.vui.i_colorprim = colour[0];
    p.vui.i_transfer = colour[1];
    p.vui.i_colmatrix = colour[2];
    if (x264_param_apply_profile(&p, "main") < 0)
        return NULL;
    return x264_encoder_open(&p);
}

/* The size of the access unit at *payload, each NAL unit after its length; 0 if there is none, < 0 on failure. */
int teiten_x264_encode(void *encoder, int64_t number, const uint8_t *const planes[3], const int strides[3],
                       const uint8_t **payload)
{
    x264_picture_t in, out;
    x264_nal_t *units;
    int count, size;
    x264_picture_init(&in);
    in.i_pts = number;
    in.img.i_csp = X264_CSP_I420;
    in.img.i_plane = 3;
    for (int i = 0; i < 3; i++) {
        in.img.plane[i] = (uint8_t *)planes[i];
        in.img.i_stride[i] = strides[i];
    }
    size = x264_encoder_encode(encoder, &units, &count, &in, &out);
    /* x264 writes the units of a picture one behind the other. */
    *payload = size > 0 ? units[0].p_payload : NULL;
    return size;
}

void teiten_x264_close(void *encoder)
{
    x264_encoder_close(encoder);
}
