/*
 * Pages of lists, kept as text while no image changes.
 *
 * Dashboards and clients ask for the same page again and again. A page is filed under who asks
 * and what, with the generation of the images before it was read; it is good as long as the
 * generation is the same. The store bumps it (by a watch's bell) before a write returns, so
 * nobody who has written sees an older page.
 *
 * The room is fixed: a key has one place, chosen by its hash, and whoever comes last has it.
 */
#include "image/internal.h"

#include "base/macro.h"

#include <errno.h>

#define PLACES 32
#define PAGE_MAX ((size_t)128 << 10)

struct page {
    char *key, *text;
    size_t n;
    uint64_t generation;
};

struct pages {
    pthread_mutex_t mutex;
    struct page places[PLACES];
};

int pages_new(struct pages **ret)
{
    struct pages *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    pthread_mutex_init(&p->mutex, NULL);
    *ret = p;
    return 0;
}

void pages_free(struct pages *p)
{
    if (!p)
        return;
    for (size_t k = 0; k < PLACES; k++) {
        free(p->places[k].key);
        free(p->places[k].text);
    }
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

static struct page *place_of(struct pages *p, const char *key)
{
    uint64_t h = 14695981039346656037u;
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * 1099511628211u;
    return &p->places[h % PLACES];
}

bool pages_get(struct pages *p, const char *key, uint64_t generation, struct buf *out)
{
    pthread_mutex_lock(&p->mutex);
    const struct page *page = place_of(p, key);
    bool hit = page->key && page->generation == generation && STREQ(page->key, key);
    if (hit)
        buf_add(out, page->text, page->n);
    pthread_mutex_unlock(&p->mutex);
    return hit;
}

void pages_put(struct pages *p, const char *key, uint64_t generation, const char *text, size_t n)
{
    if (n > PAGE_MAX)
        return;
    char *own_key = strdup(key), *own = malloc(n ? n : 1);
    if (own && own_key) {
        memcpy(own, text, n);
        pthread_mutex_lock(&p->mutex);
        struct page *page = place_of(p, key);
        struct page old = *page;
        *page = (struct page){ own_key, own, n, generation };
        pthread_mutex_unlock(&p->mutex);
        own_key = old.key;
        own = old.text;
    }
    free(own_key);
    free(own);
}
