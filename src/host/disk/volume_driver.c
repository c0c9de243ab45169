/* Finding a backend's class; see volume_driver.h. */
#include "host/disk/volume_driver.h"

const struct volume_driver_class *volume_driver_find(const char *name)
{
    static const struct volume_driver_class *const ALL[] = { &VOLUME_DRIVER_DIR };
    for (size_t i = 0; i < ARRAY_SIZE(ALL); i++)
        if (str_eq(ALL[i]->name, name))
            return ALL[i];
    return NULL;
}

void volume_driver_close(struct volume_driver *v)
{
    if (v)
        v->class->close(v);
}

int volume_cannot(const struct volume_driver *v, const char *what, struct fault *fault)
{
    return fault_set(fault, 501, "NotImplemented", "Volume backends of kind %s can't do this: %s.",
                     v->class->name, what);
}
