/* The config drive: the metadata documents as an ISO image, labelled config-2. */
#ifndef YUNDUO_HOST_DISK_CONFIG_DRIVE_H
#define YUNDUO_HOST_DISK_CONFIG_DRIVE_H

#include "host/spec_server.h"

/* Writes the image to a new file at 'path' (mode 0600: it may hold a password). */
int config_drive_write(const struct server_spec *s, const char *path);

#endif
