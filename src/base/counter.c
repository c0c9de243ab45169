/* Counters for /metrics: a list that the declarations built before main(). */
#include "base/counter.h"

static struct counter *all;

void counter_register(struct counter *c)
{
    c->next = all;
    all = c;
}

int64_t counter_read(const char *metric)
{
    for (struct counter *c = all; c; c = c->next)
        if (STREQ(c->name, metric))
            return atomic_load(&c->value);
    return -1;
}

void counters_render(struct buf *out)
{
    for (struct counter *c = all; c; c = c->next)
        buf_printf(out, "# HELP yunduo_%s %s\n# TYPE yunduo_%s %s\nyunduo_%s %lld\n", c->name, c->help, c->name,
                   c->gauge ? "gauge" : "counter", c->name, (long long)atomic_load(&c->value));
}
