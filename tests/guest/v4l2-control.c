/* v4l2-control DEVICE ID VALUE: sets a control, as v4l2-ctl does. Vivid's faults are behind controls. */
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int device = open(argv[1], O_RDWR);
    struct v4l2_control control = {strtoul(argv[2], NULL, 0), strtol(argv[3], NULL, 0)};
    if (device < 0 || ioctl(device, VIDIOC_S_CTRL, &control)) {
        perror(argv[1]);
        return 1;
    }
    return 0;
}
