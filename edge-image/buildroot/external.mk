include $(sort $(wildcard $(BR2_EXTERNAL_TEITEN_PATH)/package/*/*.mk))
