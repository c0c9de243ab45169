/* Which versions of the API there are: what clients ask first. */
#include "identity/internal.h"

static void put_version(struct call *c)
{
    struct json_out *o = &c->out;
    json_open_object(o);
    json_put_string(o, "id", "v3.14");
    json_put_string(o, "status", "stable");
    json_put_string(o, "updated", "2020-04-07T00:00:00Z");
    json_put_array(o, "links");
    json_open_object(o);
    json_put_string(o, "rel", "self");
    json_put_string(o, "href", v3_url(c, "%s", ""));
    json_close_object(o);
    json_close_array(o);
    json_put_array(o, "media-types");
    json_open_object(o);
    json_put_string(o, "base", "application/json");
    json_put_string(o, "type", "application/vnd.openstack.identity-v3+json");
    json_close_object(o);
    json_close_array(o);
    json_close_object(o);
}

int versions_root(struct call *c)
{
    json_open_object(&c->out);
    json_put_object(&c->out, "versions");
    json_put_array(&c->out, "values");
    put_version(c);
    json_close_array(&c->out);
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

int versions_v3(struct call *c)
{
    json_open_object(&c->out);
    json_key(&c->out, "version");
    put_version(c);
    json_close_object(&c->out);
    return 0;
}
