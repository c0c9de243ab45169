/*
 * Arenas: memory that dies together.
 *
 * A request, a pass of a controller, a poll of the agent each has one arena; whatever it
 * parses, reads from the store or renders lives there and is gone with one call. So
 * structs of the store and their strings have no destructors of their own.
 *
 * An arena has a limit. Beyond it, or when the system has no memory, allocation returns
 * null and the arena remembers: it has *failed*. A transaction refuses to commit and a
 * reply refuses to be sent from a failed arena (-ENOMEM, the client sees a 500). So a null
 * string may be stored unchecked; check only before you dereference.
 *
 * Not thread-safe: one owner at a time.
 */
#ifndef YUNDUO_BASE_ARENA_H
#define YUNDUO_BASE_ARENA_H

#include "base/macro.h"

#include <stdarg.h>

struct arena;

/* 'limit': most bytes it will ever hand out; 0 means 64 MiB. Null without memory. */
struct arena *arena_new(size_t limit);
void arena_free(struct arena *a);
static inline void arena_freep(struct arena **a)
{
    arena_free(*a);
}
/* Forgets everything handed out but keeps a block for reuse; a failure is forgotten too. */
void arena_reset(struct arena *a);
bool arena_failed(const struct arena *a);
/* Marks it failed: for a caller that lost something it could not report otherwise. */
void arena_fail(struct arena *a);
size_t arena_used(const struct arena *a);

/* Zeroed, aligned for any type; null when failed. Size 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_memdup(struct arena *a, const void *data, size_t size);
/* Null in, null out. */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *format, ...) _printf_(2, 3);
char *arena_vprintf(struct arena *a, const char *format, va_list ap) _printf_(2, 0);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_NEWN(a, type, n) ((type *)arena_calloc((a), (n), sizeof(type)))
void *arena_calloc(struct arena *a, size_t n, size_t size);

#endif
