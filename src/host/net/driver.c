/* The drivers that there are, by name. */
#include "host/net/net_driver.h"

const struct net_driver_class *net_driver_class_find(const char *name)
{
    static const struct net_driver_class *const ALL[] = { &NET_LINUX, &NET_SIMULATED };
    for (size_t i = 0; i < ARRAY_SIZE(ALL); i++)
        if (str_eq(ALL[i]->name, name))
            return ALL[i];
    return NULL;
}
