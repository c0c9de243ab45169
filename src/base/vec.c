/* Vectors, string lists and string maps in an arena: see the header. */
#include "base/vec.h"

void *vec_grow(struct arena *a, struct vec_any *vec, size_t size)
{
    if (vec->n == vec->cap) {
        size_t cap = vec->cap ? vec->cap * 2 : 4;
        void *v = arena_calloc(a, cap, size);
        if (!v)
            return NULL;
        if (vec->n)
            memcpy(v, vec->v, vec->n * size);
        vec->v = v;
        vec->cap = cap;
    }
    void *slot = (char *)vec->v + vec->n++ * size;
    memset(slot, 0, size);
    return slot;
}

void vec_cut(struct vec_any *vec, size_t size, size_t i)
{
    if (i >= vec->n)
        return;
    char *at = (char *)vec->v + i * size;
    memmove(at, at + size, (vec->n - i - 1) * size);
    vec->n--;
}

bool strv_add(struct arena *a, struct strv *l, const char *s)
{
    const char *copy = arena_strdup(a, s);
    return copy && vec_push(a, l, copy);
}

static ptrdiff_t strv_find(const struct strv *l, const char *s)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->v[i], s))
            return (ptrdiff_t)i;
    return -1;
}

bool strv_has(const struct strv *l, const char *s)
{
    return strv_find(l, s) >= 0;
}

bool strv_drop(struct strv *l, const char *s)
{
    ptrdiff_t i = strv_find(l, s);
    if (i < 0)
        return false;
    vec_remove(l, (size_t)i);
    return true;
}

bool strv_split(struct arena *a, struct strv *ret, const char *s, const char *separators)
{
    while (s && *s) {
        size_t n = strcspn(s, separators);
        if (n) {
            const char *piece = arena_strndup(a, s, n);
            if (!piece || !vec_push(a, ret, piece))
                return false;
        }
        s += n;
        if (*s)
            s++;
    }
    return true;
}

const char *strv_join(struct arena *a, const struct strv *l, const char *separator)
{
    size_t total = 1, m = strlen(separator);
    for (size_t i = 0; i < l->n; i++)
        total += strlen(l->v[i]) + m;
    char *text = arena_alloc(a, total);
    if (!text)
        return NULL;
    char *at = text;
    for (size_t i = 0; i < l->n; i++) {
        if (i) {
            memcpy(at, separator, m);
            at += m;
        }
        size_t n = strlen(l->v[i]);
        memcpy(at, l->v[i], n);
        at += n;
    }
    *at = 0;
    return text;
}

static int string_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void strv_sort(struct strv *l)
{
    if (l->n > 1)
        qsort(l->v, l->n, sizeof(*l->v), string_order);
}

static struct pair *strmap_find(const struct strmap *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(m->v[i].key, key))
            return &m->v[i];
    return NULL;
}

const char *strmap_get(const struct strmap *m, const char *key)
{
    const struct pair *p = strmap_find(m, key);
    return p ? p->value : NULL;
}

bool strmap_set(struct arena *a, struct strmap *m, const char *key, const char *value)
{
    const char *copy = arena_strdup(a, value);
    if (value && !copy)
        return false;
    struct pair *p = strmap_find(m, key);
    if (p) {
        p->value = copy;
        return true;
    }
    const char *name = arena_strdup(a, key);
    p = name ? vec_add(a, m) : NULL;
    if (!p)
        return false;
    *p = (struct pair){ name, copy };
    return true;
}

bool strmap_drop(struct strmap *m, const char *key)
{
    struct pair *p = strmap_find(m, key);
    if (!p)
        return false;
    vec_remove(m, (size_t)(p - m->v));
    return true;
}
