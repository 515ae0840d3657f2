/* v4l2-feed DEVICE WIDTH HEIGHT FILE...: gives JPEGs to a v4l2loopback device, ten a second, for ever. Each fifth one is
 * torn: its second half is missing. */
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ROOM (1 << 20)

int main(int argc, char **argv) {
    static char picture[ROOM];
    if (argc < 5) return 2;
    int device = open(argv[1], O_RDWR);
    struct v4l2_format format;
    memset(&format, 0, sizeof format);
    format.type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
    format.fmt.pix.width = strtoul(argv[2], NULL, 0);
    format.fmt.pix.height = strtoul(argv[3], NULL, 0);
    format.fmt.pix.pixelformat = V4L2_PIX_FMT_MJPEG;
    format.fmt.pix.field = V4L2_FIELD_NONE;
    format.fmt.pix.sizeimage = ROOM;
    if (device < 0 || ioctl(device, VIDIOC_S_FMT, &format)) {
        perror(argv[1]);
        return 1;
    }
    for (unsigned number = 0;; number++) {
        const char *name = argv[4 + number % (argc - 4)];
        int file = open(name, O_RDONLY);
        ssize_t bytes = file < 0 ? -1 : read(file, picture, ROOM);
        if (bytes <= 0) {
            perror(name);
            return 1;
        }
        close(file);
        if (number % 5 == 4) bytes /= 2;
        if (write(device, picture, bytes) != bytes) {
            perror(argv[1]);
            return 1;
        }
        usleep(100000);
    }
}
