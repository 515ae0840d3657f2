################################################################################
#
# teiten-agent
#
################################################################################

TEITEN_AGENT_SITE = $(BR2_EXTERNAL_TEITEN_PATH)/../../target/agent
TEITEN_AGENT_SITE_METHOD = local
TEITEN_AGENT_LICENSE = MIT or Apache-2.0

define TEITEN_AGENT_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/teiten-agent $(TARGET_DIR)/usr/bin/teiten-agent
endef

$(eval $(generic-package))
