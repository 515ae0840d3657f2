// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Tells the Raspberry Pi's firmware, at a restart with the argument "0 tryboot", to try the other slot once.
 *
 * Raspberry Pi's own kernel does so in its firmware driver; Linux's, which Debian's kernel is, does not. The flag is
 * the firmware's: it is gone after one start, however that ends.
 */
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/reboot.h>
#include <soc/bcm2835/raspberrypi-firmware.h>

/* Raspberry Pi's name and number for it; Linux's header lacks it. */
#define RPI_FIRMWARE_SET_REBOOT_FLAGS 0x00038064
#define REBOOT_FLAG_TRYBOOT 1

static struct rpi_firmware *firmware;

static int notify(struct notifier_block *block, unsigned long action, void *argument)
{
	u32 flags = REBOOT_FLAG_TRYBOOT;
	int error;

	if (action != SYS_RESTART || !argument || strcmp(argument, "0 tryboot"))
		return NOTIFY_DONE;
	error = rpi_firmware_property(firmware, RPI_FIRMWARE_SET_REBOOT_FLAGS, &flags, sizeof(flags));
	if (error)
		pr_err("rpi-tryboot: the firmware does not know tryboot (%d)\n", error);
	return NOTIFY_DONE;
}

static struct notifier_block block = { .notifier_call = notify };

static const struct of_device_id ids[] = {
	{ .compatible = "raspberrypi,bcm2835-firmware" },
	{}
};
MODULE_DEVICE_TABLE(of, ids);

static int __init start(void)
{
	struct device_node *node = of_find_matching_node(NULL, ids);
	int error;

	if (!node)
		return -ENODEV;
	firmware = rpi_firmware_get(node);
	of_node_put(node);
	if (!firmware)
		return -ENODEV;
	error = register_reboot_notifier(&block);
	if (error)
		rpi_firmware_put(firmware);
	return error;
}
module_init(start);

static void __exit stop(void)
{
	unregister_reboot_notifier(&block);
	rpi_firmware_put(firmware);
}
module_exit(stop);

MODULE_DESCRIPTION("Raspberry Pi: try the other slot once (tryboot)");
MODULE_LICENSE("Dual MIT/GPL");
