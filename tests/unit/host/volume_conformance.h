/* The contract of volume backends (host/disk/volume_driver.h) as a test: every driver runs it.
 * Volumes are small; the backend must be empty at the start and is empty at the end. */
#ifndef YUNDUO_TESTS_UNIT_HOST_VOLUME_CONFORMANCE_H
#define YUNDUO_TESTS_UNIT_HOST_VOLUME_CONFORMANCE_H

#include "host/disk/volume_driver.h"

/* 'scratch' is a folder for files of the test's own. Fails by cmocka's assertions. */
void volume_conformance(const struct volume_driver_class *class, const struct volume_driver_config *config,
                        const char *scratch);

#endif
