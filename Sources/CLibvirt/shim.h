// libvirt's public headers; virt-qemu is its QEMU-specific monitor pass-through.
#pragma once
#include <libvirt/libvirt.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
