/*
 * Arenas: blocks in a list, a bump pointer in the newest one. Blocks grow by doubling up to
 * a mebibyte; a large request gets a block of its own.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdio.h>

#define BLOCK_FIRST 4096
#define BLOCK_MAX (1u << 20)
#define LIMIT_DEFAULT ((size_t)64 << 20)
#define ALIGNMENT alignof(max_align_t)

struct block {
    struct block *next;
    size_t size, used;
    alignas(max_align_t) char data[];
};

struct arena {
    struct block *blocks;       /* newest first */
    size_t limit, handed_out, next_size;
    bool failed;
};

struct arena *arena_new(size_t limit)
{
    struct arena *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->limit = limit ? limit : LIMIT_DEFAULT;
    a->next_size = BLOCK_FIRST;
    return a;
}

static void blocks_free(struct block *b)
{
    while (b) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    blocks_free(a->blocks);
    free(a);
}

void arena_reset(struct arena *a)
{
    struct block *keep = a->blocks;
    if (keep && keep->size > BLOCK_MAX) {
        blocks_free(keep);              /* one large allocation is not what the next user needs */
        a->blocks = NULL;
    } else if (keep) {
        blocks_free(keep->next);
        keep->next = NULL;
        keep->used = 0;
    }
    a->handed_out = 0;
    a->failed = false;
}

bool arena_failed(const struct arena *a)
{
    return a->failed;
}

void arena_fail(struct arena *a)
{
    a->failed = true;
}

size_t arena_used(const struct arena *a)
{
    return a->handed_out;
}

static void *arena_take(struct arena *a, size_t size)
{
    if (size > a->limit - MIN(a->limit, a->handed_out)) {
        a->failed = true;
        return NULL;
    }
    size_t rounded = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (rounded == 0)
        rounded = ALIGNMENT;
    struct block *b = a->blocks;
    if (!b || b->size - b->used < rounded) {
        size_t want = MAX(a->next_size, rounded);
        b = malloc(sizeof(*b) + want);
        if (!b) {
            a->failed = true;
            return NULL;
        }
        b->size = want;
        b->used = 0;
        b->next = a->blocks;
        a->blocks = b;
        a->next_size = MIN(a->next_size * 2, (size_t)BLOCK_MAX);
    }
    void *p = b->data + b->used;
    b->used += rounded;
    a->handed_out += rounded;
    return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
    void *p = arena_take(a, size);
    if (p)
        memset(p, 0, size);
    return p;
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total)) {
        a->failed = true;
        return NULL;
    }
    return arena_alloc(a, total);
}

void *arena_memdup(struct arena *a, const void *data, size_t size)
{
    void *p = arena_take(a, size);
    if (p && size)
        memcpy(p, data, size);
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    if (!s)
        return NULL;
    n = strnlen(s, n);
    char *p = arena_take(a, n + 1);
    if (p) {
        memcpy(p, s, n);
        p[n] = 0;
    }
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_memdup(a, s, strlen(s) + 1) : NULL;
}

char *arena_vprintf(struct arena *a, const char *format, va_list ap)
{
    char stack[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(stack, sizeof(stack), format, ap);
    char *p = NULL;
    if (n < 0)
        a->failed = true;
    else if ((size_t)n < sizeof(stack))
        p = arena_memdup(a, stack, (size_t)n + 1);
    else if ((p = arena_take(a, (size_t)n + 1)))
        (void)vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return p;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *p = arena_vprintf(a, format, ap);
    va_end(ap);
    return p;
}
