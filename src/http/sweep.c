/*
 * The sweep: who takes too long is cut.
 *
 * libmicrohttpd ends connections that are silent. A client that sends a byte now and then is
 * never silent, so this looks once a second at what each one has achieved: a head must be
 * complete within the time-out, a body may take that long and then as long as it needs at a
 * rate that any line has. While we keep the client waiting its clock stands.
 *
 * The sweep shuts the socket down; the loop that owns it finds it dead and cleans up. It also
 * finds who left in the middle of a body: libmicrohttpd takes a short read for the last one and
 * can miss the end of the stream that came with the data.
 */
#include "http/internal.h"

#include <poll.h>
#include <sys/socket.h>

#define SLOWEST ((uint64_t)1024)        /* bytes a second of a body */

static int64_t real_mono(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return SECONDS(ts.tv_sec) + ts.tv_nsec / 1000;
}

void http_peer_add(struct http_server *s, struct http_peer *peer)
{
    http_peer_phase(peer, PHASE_HEAD);
    pthread_mutex_lock(&s->peers_lock);
    peer->next = s->peers;
    peer->at = &s->peers;
    if (peer->next)
        peer->next->at = &peer->next;
    s->peers = peer;
    pthread_mutex_unlock(&s->peers_lock);
    if (atomic_fetch_add(&s->n_peers, 1) == 0)
        (void)http_timer_poke(s);
}

void http_peer_remove(struct http_server *s, struct http_peer *peer)
{
    pthread_mutex_lock(&s->peers_lock);
    *peer->at = peer->next;
    if (peer->next)
        peer->next->at = peer->at;
    pthread_mutex_unlock(&s->peers_lock);
    atomic_fetch_sub(&s->n_peers, 1);
}

void http_peer_phase(struct http_peer *peer, enum http_phase phase)
{
    atomic_store_explicit(&peer->since, real_mono(), memory_order_relaxed);
    atomic_store_explicit(&peer->bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->phase, phase, memory_order_relaxed);
}

bool http_peer_gone(const struct http_peer *peer)
{
    struct pollfd p = { .fd = peer->fd, .events = POLLRDHUP };
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

void http_sweep(struct http_server *s)
{
    int64_t now = real_mono();
    pthread_mutex_lock(&s->peers_lock);
    for (struct http_peer *peer = s->peers; peer; peer = peer->next) {
        uint64_t bytes = atomic_load_explicit(&peer->bytes, memory_order_relaxed);
        int64_t took = now - peer->since;
        bool cut = false;
        switch (atomic_load_explicit(&peer->phase, memory_order_relaxed)) {
        case PHASE_HEAD:
            cut = took > s->timeout;
            break;
        case PHASE_BODY:
            cut = took > s->timeout + SECONDS(bytes / SLOWEST) || (bytes == peer->swept && http_peer_gone(peer));
            break;
        case PHASE_OURS:
            break;
        }
        peer->swept = bytes;
        if (cut)
            (void)shutdown(peer->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&s->peers_lock);
}
