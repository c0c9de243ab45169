/*
 * Growing byte buffers on the heap, each with a maximum given when it is made.
 *
 * A failure (no memory, over the maximum) sticks: later additions do nothing and
 * buf_error() tells, so that a writer checks once, at the end. The data always ends with
 * a NUL that is not counted.
 */
#ifndef YUNDUO_BASE_BUF_H
#define YUNDUO_BASE_BUF_H

#include "base/macro.h"

#include <stdarg.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;
    int error;      /* 0, -ENOMEM or -EFBIG */
};

#define BUF_MAX(bytes) ((struct buf){ .max = (bytes) })

void buf_done(struct buf *b);
void buf_clear(struct buf *b);
/* 0 or the first failure. */
int buf_error(const struct buf *b);
/* Never null: "" while empty. */
const char *buf_text(const struct buf *b);
/* Gives the malloc'ed text to the caller and empties the buffer; null on failure. */
char *buf_take(struct buf *b);
/* Room for n more bytes at data + len, or null. The caller adds to len what it wrote. */
char *buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *data, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) _printf_(2, 3);
void buf_vprintf(struct buf *b, const char *format, va_list ap) _printf_(2, 0);

#endif
