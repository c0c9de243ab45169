/*
 * Counters and gauges for /metrics, declared where they are counted.
 *
 *     COUNTER(no_valid_host, "compute_no_valid_host_total", "Servers that no host could take.");
 *     counter_inc(&no_valid_host);
 */
#ifndef YUNDUO_BASE_COUNTER_H
#define YUNDUO_BASE_COUNTER_H

#include "base/buf.h"

#include <stdatomic.h>

struct counter {
    const char *name;
    const char *help;
    bool gauge;
    _Atomic int64_t value;
    struct counter *next;
};

#define COUNTER_(symbol, metric, text, is_gauge) \
    static struct counter symbol = { .name = (metric), .help = (text), .gauge = (is_gauge) }; \
    __attribute__((constructor)) static void symbol##_register_(void) { counter_register(&symbol); } \
    struct counter
#define COUNTER(symbol, metric, text) COUNTER_(symbol, metric, text, false)
#define GAUGE(symbol, metric, text) COUNTER_(symbol, metric, text, true)

void counter_register(struct counter *c);
static inline void counter_add(struct counter *c, int64_t n)
{
    atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}
static inline void counter_inc(struct counter *c)
{
    counter_add(c, 1);
}
static inline void counter_set(struct counter *c, int64_t n)
{
    atomic_store_explicit(&c->value, n, memory_order_relaxed);
}
/* The value by its metric's name; -1 where there is none. For tests. */
int64_t counter_read(const char *metric);
/* All of them as Prometheus text, names prefixed "yunduo_". */
void counters_render(struct buf *out);

#endif
