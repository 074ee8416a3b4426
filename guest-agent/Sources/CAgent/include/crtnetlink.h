// The kernel's structures and numbers of rtnetlink(7), which Swift can import as they are.
#pragma once
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
