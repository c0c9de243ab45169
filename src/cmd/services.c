/* The one place that knows all services and kinds. */
#include "cmd/services.h"
#include "api/agent_link.h"
#include "api/quota.h"
#include "compute/compute.h"
#include "identity/identity.h"
#include "image/image.h"
#include "network/network.h"
#include "volume/volume.h"

const struct service *const SERVICES[] = {
    &IDENTITY_SERVICE,
    &IMAGE_SERVICE,
    &NETWORK_SERVICE,
    &VOLUME_SERVICE,
    &COMPUTE_SERVICE,
    &CONSOLE_SERVICE,
    &AGENT_SERVICE,
    &IMAGE_AGENT_SERVICE,
    NULL,
};

const struct kind **all_kinds(void)
{
    size_t n = 2;
    for (size_t i = 0; SERVICES[i]; i++)
        for (size_t j = 0; SERVICES[i]->kinds && SERVICES[i]->kinds[j]; j++)
            n++;
    const struct kind **all = calloc(n, sizeof(*all));
    if (!all)
        return NULL;
    n = 0;
    all[n++] = &QUOTA_KIND;
    for (size_t i = 0; SERVICES[i]; i++)
        for (size_t j = 0; SERVICES[i]->kinds && SERVICES[i]->kinds[j]; j++)
            all[n++] = SERVICES[i]->kinds[j];
    return all;
}
