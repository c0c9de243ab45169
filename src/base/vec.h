/*
 * Vectors, string lists and string maps in an arena.
 *
 * VEC_OF(T) is an anonymous struct { T *v; size_t n, cap; }; all of them have this one
 * layout, which the document codec (base/field.h) relies on. Zeroed is empty.
 */
#ifndef YUNDUO_BASE_VEC_H
#define YUNDUO_BASE_VEC_H

#include "base/arena.h"

#define VEC_OF(type) struct { type *v; size_t n; size_t cap; }

/* A new zeroed slot at the end, or null when the arena has failed. */
#define vec_add(arena, vec) \
    ((__typeof__((vec)->v))vec_grow((arena), (struct vec_any *)(void *)(vec), sizeof(*(vec)->v)))

/* Appends one value; false when the arena has failed. */
#define vec_push(arena, vec, value) \
    ({ __typeof__((vec)->v) slot_ = vec_add((arena), (vec)); if (slot_) *slot_ = (value); slot_ != NULL; })

/* for each 'item' (a pointer to the element) */
#define VEC_FOREACH(item, vec) \
    for (__typeof__((vec)->v + 0) item = (vec)->v, item##_end = (vec)->n ? (vec)->v + (vec)->n : (vec)->v; \
         item != item##_end; item++)

/* Takes out element i, keeping the order. */
#define vec_remove(vec, i) vec_cut((struct vec_any *)(void *)(vec), sizeof(*(vec)->v), (i))

struct vec_any { void *v; size_t n; size_t cap; };
void *vec_grow(struct arena *a, struct vec_any *vec, size_t size);
void vec_cut(struct vec_any *vec, size_t size, size_t i);

struct strv { const char **v; size_t n; size_t cap; };
struct pair { const char *key; const char *value; };
struct strmap { struct pair *v; size_t n; size_t cap; };

/* Copies 's' into the arena and appends it. */
bool strv_add(struct arena *a, struct strv *l, const char *s);
bool strv_has(const struct strv *l, const char *s);
/* Returns whether it was there. */
bool strv_drop(struct strv *l, const char *s);
/* Pieces between any of the characters in 'separators'; empty pieces are left out. */
bool strv_split(struct arena *a, struct strv *ret, const char *s, const char *separators);
const char *strv_join(struct arena *a, const struct strv *l, const char *separator);
void strv_sort(struct strv *l);

/* The value, or null where the key is not there. */
const char *strmap_get(const struct strmap *m, const char *key);
/* Adds or replaces; copies both into the arena. */
bool strmap_set(struct arena *a, struct strmap *m, const char *key, const char *value);
bool strmap_drop(struct strmap *m, const char *key);

#endif
