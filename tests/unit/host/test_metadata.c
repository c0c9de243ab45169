/* What guests are told: whole documents beside the test, and the paths. */
#include "host/metadata_doc.h"

#include "base/clock.h"
#include "base/json.h"
#include "golden.h"

/* The document, put in order so that a diff is readable; the random seed is masked. */
static void golden_json(const char *name, const struct buf *text)
{
    char error[256];
    assert_int_equal(buf_error(text), 0);
    json_t *j = json_parse(buf_text(text), text->len, error, sizeof(error));
    if (!j)
        fail_msg("%s: %s: %s", name, error, buf_text(text));
    json_t *seed = json_object_get(j, "random_seed");
    if (seed) {
        assert_int_equal(json_string_length(seed), 680);
        json_object_set_new(j, "random_seed", json_string("..."));
    }
    char *pretty = json_dumps(j, JSON_INDENT(1) | JSON_SORT_KEYS);
    assert_golden(name, pretty);
    free(pretty);
    json_decref(j);
}

static void documents(void **state _unused_)
{
    static const struct {
        const char *name;
        void (*render)(const struct server_spec *, struct buf *);
    } DOCS[] = {
        { "meta_data.out", metadata_meta_data },
        { "network_data.out", metadata_network_data },
        { "vendor_data2.out", metadata_vendor_data2 },
        { "ec2.out", metadata_ec2_json },
    };
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct server_spec *s = spec_load("guest", a);
    for (size_t i = 0; i < ARRAY_SIZE(DOCS); i++) {
        _cleanup_(buf_done) struct buf out = BUF_MAX(1 << 20);
        DOCS[i].render(s, &out);
        golden_json(DOCS[i].name, &out);
    }
}

static void bare(void **state _unused_)
{
    struct server_spec s = { .id = "99999999-2222-4333-8444-555555555555", .name = "n" };
    _cleanup_(buf_done) struct buf meta = BUF_MAX(1 << 20);
    _cleanup_(buf_done) struct buf net = BUF_MAX(1 << 20);
    metadata_meta_data(&s, &meta);
    golden_json("bare_meta_data.out", &meta);
    metadata_network_data(&s, &net);
    assert_string_equal(buf_text(&net), "{\"links\":[],\"networks\":[],\"services\":[]}");
}

static void check_path(const struct server_spec *s, const char *path, const char *want)
{
    _cleanup_(buf_done) struct buf out = BUF_MAX(1 << 20);
    const char *type = NULL;
    bool found = metadata_get(s, path, &out, &type);
    if (!want) {
        assert_false(found);
        return;
    }
    if (!found)
        fail_msg("%s is not there", path);
    assert_non_null(type);
    assert_string_equal(buf_text(&out), want);
}

static void paths(void **state _unused_)
{
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    struct server_spec *s = spec_load("guest", a);
    static const char *const ROWS[][2] = {
        { "/latest/meta-data/instance-id", "i-99999999" },
        { "/latest/meta-data/ami-id", "ami-abcdef01" },
        { "/2009-04-04/meta-data/local-ipv4", "10.0.0.5" },
        { "/latest/meta-data/public-ipv4/", "203.0.113.7" },
        { "/latest/meta-data/public-keys/", "0=mykey" },
        { "/latest/meta-data/public-keys/0", "openssh-key" },
        { "/latest/meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA me" },
        { "/latest/meta-data/public-keys/1/openssh-key", NULL },
        { "/latest/meta-data/placement", "availability-zone" },
        { "/latest/meta-data/placement/availability-zone", "nova" },
        { "/1.0/meta-data/placement/availability-zone", NULL }, /* not yet in that version */
        { "/1.0/meta-data",
          "ami-id\nami-launch-index\nami-manifest-path\nhostname\ninstance-id\nlocal-ipv4\npublic-keys/\n"
          "reservation-id\nsecurity-groups" },
        { "//latest//user-data", "#!/bin/sh\necho hi\n" },
        { "/latest", "meta-data/\nuser-data" },
        { "/1999-01-01/meta-data", NULL },
        { "/latest/meta-datax", NULL },
        { "/openstack/latest/user_data", "#!/bin/sh\necho hi\n" },
        { "/openstack/latest/vendor_data.json", "{\"a\": 1}" },
        { "/openstack/latest/password", "" },
        { "/openstack/content/0000", "hello" },
        { "/openstack/content/0001", NULL },
        { "/openstack/content/../0000", NULL },
        { "/openstack/2012-08-10", "meta_data.json\nuser_data" },
        { "/openstack/2012-08-10/network_data.json", NULL },
        { "/openstack/1900-01-01/meta_data.json", NULL },
        { "/openstack/latest/nothing", NULL },
    };
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++)
        check_path(s, ROWS[i][0], ROWS[i][1]);
    s->user_data = NULL;
    check_path(s, "/openstack/latest/user_data", NULL);
    check_path(s, "/latest", "meta-data/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),
        cmocka_unit_test(bare),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
