/*
 * Configuration: a file of 'key = value' lines, each key a row of a schema.
 *
 *     # yunduo.conf
 *     listen = 127.0.0.1:8774
 *
 * '#' begins a comment on a line of its own. A key that no row names is refused with its
 * line. A missing file is an error unless 'optional'.
 */
#ifndef YUNDUO_BASE_CONFIG_H
#define YUNDUO_BASE_CONFIG_H

#include "base/error.h"
#include "base/field.h"

/* Fills the struct at 'out': defaults first, then the file's values. Returns 0; FAULT with a
 * message naming file, line and key; negative when the file can't be read. */
int config_load(const struct schema *s, const char *path, bool optional, struct arena *a, void *out,
                struct fault *fault);
/* Every knob with its default and its doc, as the text of a commented file. */
void config_describe(const struct schema *s, struct buf *out);

#endif
