// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What Raspberry Pi's own kernel does with the Pi's firmware, and Linux's, which Debian's kernel is, does not:
 *
 * - At a restart with the argument "0 tryboot" it tells the firmware to try the other slot once. The flag is the
 *   firmware's: it is gone after one start, however that ends.
 * - It leaves no number of a partition to the firmware, which would start that one instead of the one that
 *   autoboot.txt names. (The Pi 4's bootloader before 2025-10-08 may have put 32 there when it started:
 *   raspberrypi/rpi-eeprom, pull request 758.)
 * - What slows the Pi down, or did since it was switched on, can be read in the firmware device's get_throttled, as
 *   hexadecimal digits. (Others read the bits of the past and clear them; this does not.)
 */
#include <linux/device.h>
#include <linux/io.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/of_platform.h>
#include <linux/reboot.h>
#include <soc/bcm2835/raspberrypi-firmware.h>

/* Raspberry Pi's name and number for it; Linux's header lacks it. */
#define RPI_FIRMWARE_SET_REBOOT_FLAGS 0x00038064
#define REBOOT_FLAG_TRYBOOT 1

/* The power manager's register of resets. The partition's number is in its bits 0, 2, 4, 6, 8 and 10. */
#define PM_RSTS 0x20
#define PM_PASSWORD 0x5a000000
#define PM_RSTS_PARTITION 0x555

static struct rpi_firmware *firmware;
static struct platform_device *device;
/* The driver of watchdog and restart has a mapping of its own, and no other use for that register. */
static void __iomem *power_manager;

static void forget_partition(void)
{
	u32 status = readl(power_manager + PM_RSTS);

	writel((status & ~PM_RSTS_PARTITION) | PM_PASSWORD, power_manager + PM_RSTS);
}

static int notify(struct notifier_block *block, unsigned long action, void *argument)
{
	u32 flags = REBOOT_FLAG_TRYBOOT;
	int error;

	if (action != SYS_RESTART)
		return NOTIFY_DONE;
	if (argument && !strcmp(argument, "0 tryboot")) {
		error = rpi_firmware_property(firmware, RPI_FIRMWARE_SET_REBOOT_FLAGS, &flags, sizeof(flags));
		if (error)
			pr_err("rpi-additions: the firmware does not know tryboot (%d)\n", error);
	}
	forget_partition();
	return NOTIFY_DONE;
}

static struct notifier_block block = { .notifier_call = notify };

static ssize_t get_throttled_show(struct device *dev, struct device_attribute *attribute, char *text)
{
	/* The bits of the past that the firmware is to clear. */
	u32 value = 0;
	int error = rpi_firmware_property(firmware, RPI_FIRMWARE_GET_THROTTLED, &value, sizeof(value));

	return error ? error : sysfs_emit(text, "%x\n", value);
}
static DEVICE_ATTR_RO(get_throttled);

static const struct of_device_id ids[] = {
	{ .compatible = "raspberrypi,bcm2835-firmware" },
	{}
};
MODULE_DEVICE_TABLE(of, ids);

static const struct of_device_id power_managers[] = {
	{ .compatible = "brcm,bcm2835-pm-wdt" },
	{}
};

static int __init start(void)
{
	struct device_node *node = of_find_matching_node(NULL, ids);
	struct device_node *manager = of_find_matching_node(NULL, power_managers);
	int error = -ENODEV;

	device = of_find_device_by_node(node);
	firmware = node ? rpi_firmware_get(node) : NULL;
	power_manager = of_iomap(manager, 0);
	of_node_put(node);
	of_node_put(manager);
	if (!device || !firmware || !power_manager)
		goto put;
	error = device_create_file(&device->dev, &dev_attr_get_throttled);
	if (error)
		goto put;
	error = register_reboot_notifier(&block);
	if (error)
		goto remove;
	/* The watchdog, or a panic, restarts without notice. */
	forget_partition();
	return 0;
remove:
	device_remove_file(&device->dev, &dev_attr_get_throttled);
put:
	if (power_manager)
		iounmap(power_manager);
	if (firmware)
		rpi_firmware_put(firmware);
	if (device)
		put_device(&device->dev);
	return error;
}
module_init(start);

static void __exit stop(void)
{
	unregister_reboot_notifier(&block);
	device_remove_file(&device->dev, &dev_attr_get_throttled);
	iounmap(power_manager);
	rpi_firmware_put(firmware);
	put_device(&device->dev);
}
module_exit(stop);

MODULE_DESCRIPTION("Raspberry Pi: restarts into the right slot, and what slows it down");
MODULE_LICENSE("Dual MIT/GPL");
