/* What is done to servers, seen from the API, with the host carrying it out. */
#include "compute/world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define SERVERS "/compute/v2.1/servers"

static int url(struct world *w, const char *who, int minor, const char *method, const char *id, const char *rest,
               const char *body)
{
    char path[300];
    (void)snprintf(path, sizeof(path), SERVERS "/%s%s", id, rest);
    return world_call(w, who, minor, method, path, body);
}

static int act(struct world *w, const char *id, const char *body)
{
    return url(w, "demo", 1, "POST", id, "/action", body);
}

static struct world *cloud(const char **ret_id)
{
    struct world *w = world_new();
    world_host(w, "h1", 8, 8192, 100);
    world_flavors(w);
    *ret_id = world_boot(w, "one");
    world_settle(w);
    assert_string_equal(world_status(w, *ret_id), "ACTIVE");
    return w;
}

static void power(void **state)
{
    (void)state;
    const char *id;
    _cleanup_(world_freep) struct world *w = cloud(&id);
    static const struct { const char *body, *then; } STEPS[] = {
        { "{\"os-stop\": null}", "SHUTOFF" }, { "{\"os-start\": null}", "ACTIVE" },
        { "{\"pause\": null}", "PAUSED" }, { "{\"unpause\": null}", "ACTIVE" },
        { "{\"suspend\": null}", "SUSPENDED" }, { "{\"resume\": null}", "ACTIVE" },
        { "{\"reboot\": {\"type\": \"SOFT\"}}", "ACTIVE" }, { "{\"os-stop\": null}", "SHUTOFF" },
        { "{\"reboot\": {\"type\": \"HARD\"}}", "ACTIVE" },
        { "{\"changePassword\": {\"adminPass\": \"secret\"}}", "ACTIVE" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(STEPS); i++) {
        assert_int_equal(act(w, id, STEPS[i].body), 202);
        assert_non_null(world_status(w, id));
        assert_false(json_is_null(world_get(w, "server.OS-EXT-STS:task_state")));
        world_settle(w);
        assert_string_equal(world_status(w, id), STEPS[i].then);
        assert_true(json_is_null(world_get(w, "server.OS-EXT-STS:task_state")));
    }
    assert_int_equal(url(w, "demo", 1, "GET", id, "/os-instance-actions", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "instanceActions")), 11);
    assert_int_equal(url(w, "admin", 84, "GET", id, "/os-instance-actions/req-1", NULL), 200);
    assert_string_equal(world_string(w, "instanceAction.events.0.result"), "Success");
}

static void refused(void **state)
{
    (void)state;
    const char *id;
    _cleanup_(world_freep) struct world *w = cloud(&id);
    assert_int_equal(act(w, id, "{\"os-start\": null}"), 409);
    assert_non_null(strstr(world_text(w), "Cannot 'start' instance"));
    assert_non_null(strstr(world_text(w), "vm_state active"));
    assert_int_equal(act(w, id, "{\"nonsense\": null}"), 400);
    assert_int_equal(act(w, id, "{\"os-stop\": null, \"os-start\": null}"), 400);
    assert_int_equal(act(w, id, "{\"reboot\": {\"type\": \"gentle\"}}"), 400);
    assert_int_equal(act(w, id, "{\"reboot\": {}}"), 400);
    assert_int_equal(act(w, "nope", "{\"os-stop\": null}"), 404);
    assert_int_equal(act(w, id, "{\"os-resetState\": {\"state\": \"error\"}}"), 403);
    assert_int_equal(act(w, id, "{\"os-stop\": null}"), 202);
    assert_int_equal(act(w, id, "{\"os-stop\": null}"), 409);
    assert_int_equal(act(w, id, "{\"createImage\": {\"name\": \"x\"}}"), 409);
    world_settle(w);
    assert_int_equal(act(w, id, "{\"lock\": null}"), 202);
    assert_int_equal(act(w, id, "{\"os-start\": null}"), 409);
    assert_int_equal(url(w, "demo", 1, "DELETE", id, "", NULL), 409);
    assert_int_equal(act(w, id, "{\"unlock\": null}"), 202);
    assert_int_equal(url(w, "admin", 73, "POST", id, "/action", "{\"lock\": {\"locked_reason\": \"mine\"}}"), 202);
    assert_int_equal(url(w, "demo", 73, "GET", id, "", NULL), 200);
    assert_string_equal(world_string(w, "server.locked_reason"), "mine");
    assert_int_equal(act(w, id, "{\"unlock\": null}"), 403);
    assert_int_equal(url(w, "admin", 1, "POST", id, "/action", "{\"unlock\": null}"), 202);
    assert_int_equal(url(w, "admin", 1, "POST", id, "/action", "{\"os-resetState\": {\"state\": \"error\"}}"), 202);
    assert_string_equal(world_status(w, id), "ERROR");
    assert_int_equal(url(w, "admin", 1, "POST", id, "/action", "{\"os-resetState\": {\"state\": \"active\"}}"), 202);
}

static void resized(void **state)
{
    (void)state;
    const char *id;
    _cleanup_(world_freep) struct world *w = cloud(&id);
    assert_int_equal(act(w, id, "{\"resize\": {\"flavorRef\": \"1\"}}"), 400);
    assert_int_equal(act(w, id, "{\"resize\": {\"flavorRef\": \"9\"}}"), 400);
    assert_int_equal(act(w, id, "{\"resize\": {\"flavorRef\": \"2\"}}"), 202);
    assert_string_equal(world_status(w, id), "RESIZE");
    world_settle(w);
    assert_string_equal(world_status(w, id), "VERIFY_RESIZE");
    assert_int_equal(world_int(w, "server.flavor.ram"), 1024);
    assert_int_equal(act(w, id, "{\"revertResize\": null}"), 202);
    assert_string_equal(world_status(w, id), "REVERT_RESIZE");
    world_settle(w);
    assert_string_equal(world_status(w, id), "ACTIVE");
    assert_int_equal(world_int(w, "server.flavor.ram"), 512);
    assert_int_equal(act(w, id, "{\"resize\": {\"flavorRef\": \"2\"}}"), 202);
    world_settle(w);
    assert_int_equal(act(w, id, "{\"confirmResize\": null}"), 204);
    assert_string_equal(world_status(w, id), "ACTIVE");
    assert_int_equal(act(w, id, "{\"confirmResize\": null}"), 409);
    assert_int_equal(act(w, id, "{\"resize\": {\"flavorRef\": \"1\"}}"), 400);
    assert_non_null(strstr(world_text(w), "resized down"));
    assert_int_equal(world_call(w, "admin", 59, "GET", "/compute/v2.1/os-migrations", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "migrations")), 2);
}

static void shelved(void **state)
{
    (void)state;
    const char *id;
    _cleanup_(world_freep) struct world *w = cloud(&id);
    assert_int_equal(act(w, id, "{\"shelve\": null}"), 202);
    world_settle(w);
    assert_string_equal(world_status(w, id), "SHELVED_OFFLOADED");
    assert_true(json_is_null(world_get(w, "server.OS-EXT-SRV-ATTR:host")));
    assert_int_equal(world_domains(w, "h1"), 0);
    assert_int_equal(world_count(w, &LEG_KIND), 0);
    assert_int_equal(world_count(w, &TEST_IMAGE_KIND), 1);
    assert_int_equal(act(w, id, "{\"os-start\": null}"), 409);
    world_image_ready(w);
    assert_int_equal(act(w, id, "{\"unshelve\": null}"), 202);
    world_settle(w);
    assert_string_equal(world_status(w, id), "ACTIVE");
    assert_int_equal(world_domains(w, "h1"), 1);
    assert_int_equal(world_count(w, &TEST_IMAGE_KIND), 0);
    assert_int_equal(act(w, id, "{\"shelve\": null}"), 202);
    world_settle(w);
    assert_int_equal(url(w, "demo", 1, "DELETE", id, "", NULL), 204);
    assert_int_equal(url(w, "demo", 1, "GET", id, "", NULL), 404);
    assert_int_equal(world_count(w, &TEST_IMAGE_KIND), 0);
    world_settle(w);
    assert_int_equal(world_orphans(w), 0);
}

static void rescued_and_rebuilt(void **state)
{
    (void)state;
    const char *id;
    _cleanup_(world_freep) struct world *w = cloud(&id);
    assert_int_equal(act(w, id, "{\"rescue\": {\"adminPass\": \"x\"}}"), 200);
    assert_string_equal(world_string(w, "adminPass"), "x");
    world_settle(w);
    assert_string_equal(world_status(w, id), "RESCUE");
    assert_int_equal(act(w, id, "{\"pause\": null}"), 409);
    assert_int_equal(act(w, id, "{\"unrescue\": null}"), 202);
    world_settle(w);
    assert_string_equal(world_status(w, id), "ACTIVE");
    assert_int_equal(act(w, id, "{\"os-stop\": null}"), 202);
    world_settle(w);
    assert_int_equal(act(w, id, "{\"rebuild\": {\"imageRef\": \"" WORLD_IMAGE "\", \"name\": \"new\"}}"), 202);
    assert_string_equal(world_string(w, "server.name"), "new");
    assert_string_equal(world_string(w, "server.status"), "REBUILD");
    assert_non_null(world_string(w, "server.adminPass"));
    world_settle(w);
    assert_string_equal(world_status(w, id), "SHUTOFF");
    assert_int_equal(act(w, id, "{\"rebuild\": {\"imageRef\": \"nope\"}}"), 400);
    assert_int_equal(act(w, id, "{\"rebuild\": {\"imageRef\": \"" WORLD_NETWORK "\"}}"), 400);
}

static void images(void **state)
{
    (void)state;
    const char *id;
    _cleanup_(world_freep) struct world *w = cloud(&id);
    assert_int_equal(url(w, "demo", 45, "POST", id, "/action", "{\"createImage\": {\"name\": \"snap\"}}"), 202);
    assert_non_null(world_string(w, "image_id"));
    assert_string_equal(world_status(w, id), "ACTIVE");
    assert_string_equal(world_string(w, "server.OS-EXT-STS:task_state"), "image_snapshot");
    world_settle(w);
    assert_string_equal(world_status(w, id), "ACTIVE");
    assert_true(json_is_null(world_get(w, "server.OS-EXT-STS:task_state")));
    assert_int_equal(world_count(w, &TEST_IMAGE_KIND), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(act(w, id, "{\"createBackup\": {\"name\": \"b\", \"backup_type\": \"daily\", "
                             "\"rotation\": 2}}"), 202);
        world_settle(w);
    }
    assert_int_equal(world_count(w, &TEST_IMAGE_KIND), 3);
    /* A server that goes while its image is made takes the image along. */
    assert_int_equal(act(w, id, "{\"createImage\": {\"name\": \"snap\"}}"), 202);
    assert_int_equal(url(w, "demo", 1, "DELETE", id, "", NULL), 204);
    world_settle(w);
    assert_int_equal(world_count(w, &TEST_IMAGE_KIND), 3);
    assert_int_equal(world_count(w, &SNAPSHOT_TASK_KIND), 0);
    assert_int_equal(world_orphans(w), 0);
}

static void interfaces(void **state)
{
    (void)state;
    const char *id;
    _cleanup_(world_freep) struct world *w = cloud(&id);
    assert_int_equal(url(w, "demo", 1, "POST", id, "/os-interface", NULL), 200);
    char port[64], rest[100];
    (void)snprintf(port, sizeof(port), "%s", world_string(w, "interfaceAttachment.port_id"));
    assert_int_equal(url(w, "demo", 1, "GET", id, "/os-interface", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "interfaceAttachments")), 2);
    (void)snprintf(rest, sizeof(rest), "/os-interface/%s", port);
    assert_int_equal(url(w, "demo", 1, "DELETE", id, rest, NULL), 202);
    assert_int_equal(url(w, "demo", 1, "DELETE", id, rest, NULL), 404);
    assert_int_equal(url(w, "demo", 1, "POST", id, "/os-interface",
                         "{\"interfaceAttachment\": {\"net_id\": \"" WORLD_IMAGE "\"}}"), 404);
    assert_int_equal(world_count(w, &TEST_PORT_KIND), 1);
    assert_int_equal(url(w, "demo", 1, "GET", id, "/ips", NULL), 200);
    assert_non_null(world_string(w, "addresses.private.0.addr"));
    assert_int_equal(url(w, "demo", 1, "GET", id, "/ips/nope", NULL), 404);
}

static void evacuated(void **state)
{
    (void)state;
    const char *id;
    _cleanup_(world_freep) struct world *w = cloud(&id);
    world_host(w, "h2", 8, 8192, 100);
    assert_int_equal(url(w, "admin", 14, "POST", id, "/action", "{\"evacuate\": {}}"), 400);
    world_host_silent(w, "h1", true);
    world_advance(w, MINUTES(3));
    world_settle(w);
    assert_int_equal(url(w, "admin", 14, "POST", id, "/action", "{\"evacuate\": {}}"), 200);
    world_settle(w);
    assert_string_equal(world_status(w, id), "ACTIVE");
    assert_string_equal(world_string(w, "server.OS-EXT-SRV-ATTR:host"), "h2");
    world_host_silent(w, "h1", false);
    world_settle(w);
    assert_int_equal(world_domains(w, "h1"), 0);
    assert_int_equal(world_domains(w, "h2"), 1);
    assert_int_equal(world_orphans(w), 0);
}

static void volumes(void **state)
{
    (void)state;
    const char *id;
    _cleanup_(world_freep) struct world *w = cloud(&id);
    const char *volume = world_volume(w, false), *root = world_volume(w, true);
    char body[500], rest[120];
    (void)snprintf(body, sizeof(body), "{\"volumeAttachment\": {\"volumeId\": \"%s\"}}", volume);
    assert_int_equal(url(w, "demo", 1, "POST", id, "/os-volume_attachments", body), 200);
    assert_string_equal(world_string(w, "volumeAttachment.device"), "/dev/vdb");
    assert_int_equal(url(w, "demo", 1, "POST", id, "/os-volume_attachments", body), 400);
    world_settle(w);
    assert_int_equal(url(w, "demo", 79, "GET", id, "/os-volume_attachments", NULL), 200);
    assert_int_equal(json_array_size(world_get(w, "volumeAttachments")), 1);
    assert_int_equal(url(w, "demo", 1, "GET", id, "", NULL), 200);
    assert_string_equal(world_string(w, "server.os-extended-volumes:volumes_attached.0.id"), volume);
    (void)snprintf(rest, sizeof(rest), "/os-volume_attachments/%s", volume);
    assert_int_equal(url(w, "demo", 1, "DELETE", id, rest, NULL), 202);
    world_settle(w);
    assert_int_equal(url(w, "demo", 1, "GET", id, rest, NULL), 404);
    assert_int_equal(url(w, "demo", 1, "POST", id, "/os-volume_attachments", body), 200);
    world_settle(w);
    assert_int_equal(url(w, "demo", 1, "DELETE", id, "", NULL), 204);
    world_settle(w);
    assert_int_equal(world_count(w, &TEST_VOLUME_KIND), 2);
    /* From a volume: it goes with the server when that was asked for. */
    (void)snprintf(body, sizeof(body), "{\"server\": {\"name\": \"v\", \"flavorRef\": \"1\", "
                   "\"block_device_mapping_v2\": [{\"boot_index\": 0, \"uuid\": \"%s\", \"source_type\": \"volume\", "
                   "\"destination_type\": \"volume\", \"delete_on_termination\": true}]}}", root);
    assert_int_equal(world_call(w, "demo", 1, "POST", SERVERS, body), 202);
    char server[64];
    (void)snprintf(server, sizeof(server), "%s", world_string(w, "server.id"));
    world_settle(w);
    assert_string_equal(world_status(w, server), "ACTIVE");
    assert_string_equal(world_string(w, "server.image"), "");
    (void)snprintf(rest, sizeof(rest), "/os-volume_attachments/%s", root);
    assert_int_equal(url(w, "demo", 1, "DELETE", server, rest, NULL), 403);
    assert_int_equal(url(w, "demo", 1, "DELETE", server, "", NULL), 204);
    world_settle(w);
    assert_int_equal(world_count(w, &TEST_VOLUME_KIND), 1);
    (void)snprintf(body, sizeof(body), "{\"server\": {\"name\": \"v\", \"flavorRef\": \"1\", "
                   "\"block_device_mapping_v2\": [{\"boot_index\": 0, \"uuid\": \"%s\", \"source_type\": \"volume\", "
                   "\"destination_type\": \"volume\"}]}}", volume);
    assert_int_equal(world_call(w, "demo", 1, "POST", SERVERS, body), 400);
    assert_non_null(strstr(world_text(w), "not bootable"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power), cmocka_unit_test(refused), cmocka_unit_test(resized), cmocka_unit_test(shelved),
        cmocka_unit_test(rescued_and_rebuilt), cmocka_unit_test(images), cmocka_unit_test(interfaces),
        cmocka_unit_test(evacuated), cmocka_unit_test(volumes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
