# SPDX-License-Identifier: MIT
TEST_GEN_PROGS := $(patsubst %.c,%,$(wildcard octans_*.c))

CFLAGS += -std=gnu11 -O2 -g -Wall -Wextra -Wno-missing-field-initializers $(KHDR_INCLUDES) \
	  -I$(top_srcdir)/drivers/accel/octans
CFLAGS += -DKERNEL_LOG_RE='"$(shell paste -sd'|' kernel-log.re)"'
LDLIBS += -pthread

LOCAL_HDRS := $(wildcard *.h)

include ../../../lib.mk

# Runs where no library is, and while none can be read.
$(OUTPUT)/octans_suspend: LDFLAGS += -static
