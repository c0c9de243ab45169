/*
 * The few macros that everything uses: ownership that can be seen, sizes, checked casts.
 *
 * A local that owns something carries _cleanup_(), handing over is spelled TAKE_, so that
 * an error path is one return. Destructors used with _cleanup_() take a pointer to the
 * local and accept null and half-built objects.
 */
#ifndef YUNDUO_BASE_MACRO_H
#define YUNDUO_BASE_MACRO_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _printf_(position, first) __attribute__((format(printf, position, first)))
#define _unused_ __attribute__((unused))
#define _must_use_ __attribute__((warn_unused_result))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define IMPLIES(a, b) (!(a) || (b))
#define STREQ(a, b) (strcmp((a), (b)) == 0)

/* Arguments are evaluated twice: no calls with effects. */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Gives the pointer away: the local becomes null, so its _cleanup_() does nothing. */
#define TAKE_PTR(p) ({ __typeof__(p) taken_ = (p); (p) = NULL; taken_; })
#define TAKE_FD(fd) ({ int taken_ = (fd); (fd) = -1; taken_; })

/* The struct around a member. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* A void * that came back from a library: a wrong one dies at the door, not later.
 * The struct's first member is 'uint32_t magic'. */
#define CAST_CHECKED(ptr, type, number) \
    ({ type *cast_ = (type *)(ptr); assert(cast_ && cast_->magic == (number)); cast_; })

/* Strings where either may be null: null equals null only. */
static inline bool str_eq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static inline bool str_empty(const char *s)
{
    return !s || !*s;
}

static inline const char *str_or(const char *s, const char *otherwise)
{
    return s ? s : otherwise;
}

static inline bool str_starts(const char *s, const char *prefix)
{
    return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

static inline bool str_ends(const char *s, const char *suffix)
{
    size_t n = s ? strlen(s) : 0, m = strlen(suffix);
    return s && n >= m && memcmp(s + n - m, suffix, m) == 0;
}

static inline void freep(void *p)
{
    free(*(void **)p);
}

static inline void closep(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

#endif
