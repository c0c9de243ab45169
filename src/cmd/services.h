/* The one place that knows all services and kinds. */
#ifndef YUNDUO_CMD_SERVICES_H
#define YUNDUO_CMD_SERVICES_H

#include "api/api.h"

extern const struct service *const SERVICES[];      /* ends with null */

/* All kinds of all services, ends with null; the caller frees it. Null without memory. */
const struct kind **all_kinds(void);

#endif
