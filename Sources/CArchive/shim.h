// libarchive, by which the host opens image archives (the outer tar alone; layers are unpacked in a guest).
#pragma once
#include <archive.h>
#include <archive_entry.h>
