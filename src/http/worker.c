/*
 * The workers: threads for all that may block.
 *
 * Jobs run in the order in which they came. Threads are started when a job finds none idle, up
 * to the maximum, and stay: an idle server has few of them, a busy one as many as it once
 * needed. The job is part of what it works on, so submitting never fails.
 */
#include "http/internal.h"

#include <errno.h>
#include <signal.h>

#define STACK_SIZE ((size_t)512 << 10)

int http_thread(pthread_t *ret, void *(*run)(void *arg), void *arg)
{
    pthread_attr_t attr;
    int r = pthread_attr_init(&attr);
    if (r)
        return -r;
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigset_t all, old;
    sigfillset(&all);
    /* Signals are for the main thread; a broken pipe is an error code. */
    (void)pthread_sigmask(SIG_BLOCK, &all, &old);
    r = pthread_create(ret, &attr, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attr);
    return -r;
}

static void *worker_main(void *arg);

/* With the lock held and jobs waiting: at most one worker is on its way at a time; it fetches
 * the next one when it has its job and others are left. So a burst of short jobs wakes few. */
static void wake_one(struct http_server *s)
{
    if (s->waking || !s->jobs_head)
        return;
    if (s->n_idle) {
        s->waking = true;
        pthread_cond_signal(&s->work);
    } else if (s->n_workers < s->workers_max && http_thread(&s->workers[s->n_workers], worker_main, s) == 0) {
        s->waking = true;
        s->n_workers++;
    }
}

static void *worker_main(void *arg)
{
    struct http_server *s = arg;
    pthread_mutex_lock(&s->lock);
    s->waking = false;
    for (;;) {
        while (!s->jobs_head && !s->ending) {
            s->n_idle++;
            pthread_cond_wait(&s->work, &s->lock);
            s->n_idle--;
            s->waking = false;
        }
        struct http_job *job = s->jobs_head;
        if (!job)
            break;
        s->jobs_head = job->next;
        if (!s->jobs_head)
            s->jobs_tail = &s->jobs_head;
        wake_one(s);
        pthread_mutex_unlock(&s->lock);
        job->run(job);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

void http_submit(struct http_server *s, struct http_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&s->lock);
    *s->jobs_tail = job;
    s->jobs_tail = &job->next;
    wake_one(s);
    pthread_mutex_unlock(&s->lock);
}

int http_workers_start(struct http_server *s)
{
    s->jobs_tail = &s->jobs_head;
    s->workers = calloc(s->workers_max, sizeof(*s->workers));
    if (!s->workers)
        return -ENOMEM;
    /* One is there from the start, so that a job is never left lying. */
    pthread_mutex_lock(&s->lock);
    int r = http_thread(&s->workers[0], worker_main, s);
    if (r == 0)
        s->n_workers = 1;
    pthread_mutex_unlock(&s->lock);
    return r;
}

void http_workers_end(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->n_workers; i++)
        (void)pthread_join(s->workers[i], NULL);
    s->n_workers = 0;
    free(TAKE_PTR(s->workers));
}
