/*
 * Threads and queues.
 *
 * One thread owns the curl multi handle and every HTTP transfer: transfers
 * enter through `incoming`, then live in `running`, where each has either a
 * request under way or a time at which its next try begins.  Folder
 * transfers go to two threads that block on the disk.
 *
 * Timers are not kept in order: `look_ms` is the earliest time at which any
 * running transfer may need attention, and only then are all looked at.  They
 * are few (the memory budget of the cache bounds them).
 */
#include "cache/net/net.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/lock.h"
#include "cache/base/log.h"
#include "cache/net/folder.h"
#include "cache/net/http.h"
#include "cache/net/origin.h"
#include "cache/net/transfer.h"

enum {
	FOLDER_THREADS = 2,
	MAX_BACKOFF_MS = 10 * 1000,
	MAX_RETRY_AFTER_MS = 120 * 1000, /* then ask again all the same */
	MAX_POLL_MS = 60 * 1000,
	/* A server that answers nonsense this often in a row means it. */
	MAX_NONSENSE = 3,
};

struct net {
	/* immutable after open */
	CURLM *multi; /* used by the network thread alone, but for wakeup */
	struct net_options opt;
	pthread_t threads[1 + FOLDER_THREADS];
	unsigned nthreads; /* started */

	_Atomic bool stopping; /* set under mu */
	struct dm_mutex mu;
	pthread_cond_t work;
	/* guarded by mu */
	struct transfer_list incoming, folder_jobs;

	/* the network thread's */
	struct transfer_list running;
	uint64_t look_ms;
};

const struct net_options *
net_options(const struct net *net)
{
	return &net->opt;
}

bool
net_stopping(struct net *net)
{
	return atomic_load(&net->stopping);
}

bool
net_submit(struct net *net, struct transfer *t)
{
	bool is_folder = t->origin->folder != NULL;
	bool taken;

	dm_lock(&net->mu);
	taken = !net->stopping;
	if (taken && is_folder) {
		TAILQ_INSERT_TAIL(&net->folder_jobs, t, entry);
		pthread_cond_signal(&net->work);
	} else if (taken) {
		TAILQ_INSERT_TAIL(&net->incoming, t, entry);
	}
	dm_unlock(&net->mu);
	/* A transfer in a queue may be over by now; net is not. */
	if (taken && !is_folder)
		(void)curl_multi_wakeup(net->multi);
	return taken;
}

/* Take a running transfer out and end it. */
static void
finish(struct net *net, struct transfer *t, const struct dm_err *err)
{
	TAILQ_REMOVE(&net->running, t, entry);
	http_release(t, net->multi);
	transfer_end(t, err);
}

static void
begin(struct net *net, struct transfer *t)
{
	struct dm_err err = { 0 };

	t->http.start_ms = 0;
	net->look_ms = 0;
	if (http_begin(t, net->multi, &net->opt, &err) < 0)
		finish(net, t, &err);
}

/* How long to wait before the next try: doubling, and never in step with
 * other clients. */
static uint64_t
backoff_ms(const struct net *net, unsigned fruitless)
{
	uint64_t ms = net->opt.backoff_ms;

	while (fruitless-- > 1 && ms < MAX_BACKOFF_MS)
		ms *= 2;
	if (ms > MAX_BACKOFF_MS)
		ms = MAX_BACKOFF_MS;
	return ms / 2 + arc4random_uniform((uint32_t)(ms - ms / 2) + 1);
}

/* End t for this error, which may have come more than once. */
static void
fail(struct net *net, struct transfer *t, const struct dm_err *cause)
{
	unsigned tries = t->http.fruitless;
	struct dm_err err = *cause;
	size_t n = strlen(err.text);

	if (tries > 1)
		(void)snprintf(err.text + n, sizeof(err.text) - n,
		    " (%u tries)", tries);
	finish(net, t, &err);
}

/* Plan the next try, unless there is no time or no sense in it. */
static void
retry(struct net *net, struct transfer *t, uint64_t after_ms,
    const struct dm_err *err)
{
	unsigned fruitless = ++t->http.fruitless;
	uint64_t now = dm_now_ms(), wait = backoff_ms(net, fruitless);

	if (after_ms > MAX_RETRY_AFTER_MS)
		after_ms = MAX_RETRY_AFTER_MS;
	if (after_ms > wait)
		wait = after_ms;
	if (now + wait >= t->get.deadline_ms ||
	    (err->code == DM_CORRUPT && fruitless >= MAX_NONSENSE) ||
	    (t->limits.max_tries > 0 && fruitless >= t->limits.max_tries)) {
		fail(net, t, err);
		return;
	}
	atomic_fetch_add_explicit(&t->origin->retries, 1, memory_order_relaxed);
	dm_log(DM_LOG_DEBUG, "net", "%s; again in %" PRIu64 " ms", err->text,
	    wait);
	t->http.last = *err;
	t->http.start_ms = now + wait;
	net->look_ms = 0;
}

/* A request is over, for this reason. */
static void
settle(struct net *net, struct transfer *t, CURLcode result)
{
	struct dm_err err = { 0 };
	uint64_t after_ms = 0;

	switch (http_end(t, net->multi, result, &after_ms, &err)) {
	case HTTP_DONE:
		finish(net, t, NULL);
		break;
	case HTTP_MOVED:
		begin(net, t);
		break;
	case HTTP_RETRY:
		retry(net, t, after_ms, &err);
		break;
	case HTTP_FAILED:
		finish(net, t, &err);
		break;
	}
}

/* Do bytes come fast enough?  *due is when to ask again. */
static bool
keeps_pace(struct transfer *t, uint64_t now, uint64_t *due)
{
	struct http *h = &t->http;
	uint64_t came = h->body - h->pace_body;
	unsigned ms = t->limits.stall_ms;

	*due = UINT64_MAX;
	if (t->limits.least_bps == 0 || h->pace_ms == 0)
		return true;
	*due = h->pace_ms + ms;
	if (*due > now)
		return true;
	if (came < (uint64_t)t->limits.least_bps * ms / 1000) {
		(void)snprintf(h->detail, sizeof(h->detail),
		    "too slow: %" PRIu64 " bytes in %u.%u s", came, ms / 1000,
		    ms % 1000 / 100);
		return false;
	}
	h->pace_ms = now;
	h->pace_body = h->body;
	*due = now + ms;
	return true;
}

/* Do what is due for t; return when it may need attention again.  t may be
 * gone afterwards. */
static uint64_t
look_at(struct net *net, struct transfer *t, uint64_t now)
{
	uint64_t since = t->http.last_byte_ms, due, pace_due;

	if (t->http.start_ms != 0) {
		if (t->http.start_ms > now)
			return t->http.start_ms;
		begin(net, t);
		return now + 1;
	}
	if (since == 0) /* curl watches over the time to connect */
		since = now;
	due = since + t->limits.stall_ms;
	if (due > t->get.deadline_ms)
		due = t->get.deadline_ms;
	if (keeps_pace(t, now, &pace_due) && due > now)
		return pace_due < due ? pace_due : due;
	/* What went wrong before says more than that time is up. */
	if (now >= t->get.deadline_ms && t->http.fruitless > 0)
		fail(net, t, &t->http.last);
	else
		settle(net, t, CURLE_OPERATION_TIMEDOUT);
	return now + 1;
}

static void
look_at_all(struct net *net)
{
	uint64_t now = dm_now_ms(), next = now + MAX_POLL_MS;
	struct transfer *t, *after;

	if (now < net->look_ms)
		return;
	for (t = TAILQ_FIRST(&net->running); t != NULL; t = after) {
		uint64_t due;

		after = TAILQ_NEXT(t, entry);
		due = look_at(net, t, now);
		if (due < next)
			next = due;
	}
	net->look_ms = next;
}

/* Handle the requests that curl says are over. */
static void
reap(struct net *net)
{
	int left;
	CURLMsg *m;

	while ((m = curl_multi_info_read(net->multi, &left)) != NULL) {
		struct transfer *t = NULL;

		if (m->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t) !=
			CURLE_OK)
			continue;
		settle(net, t, m->data.result);
	}
}

/* Begin, now or later. */
static void
admit(struct net *net, struct transfer *t)
{
	if (t->limits.start_ms <= dm_now_ms()) {
		begin(net, t);
		return;
	}
	t->http.start_ms = t->limits.start_ms;
	net->look_ms = 0;
}

/* Move what others submitted to the running ones; false if net is closing. */
static bool
take_incoming(struct net *net)
{
	struct transfer_list taken = TAILQ_HEAD_INITIALIZER(taken);
	struct transfer *t;
	bool stopping;

	dm_lock(&net->mu);
	stopping = net->stopping;
	TAILQ_CONCAT(&taken, &net->incoming, entry);
	dm_unlock(&net->mu);
	while ((t = TAILQ_FIRST(&taken)) != NULL) {
		TAILQ_REMOVE(&taken, t, entry);
		TAILQ_INSERT_TAIL(&net->running, t, entry);
		if (!stopping)
			admit(net, t);
	}
	return !stopping;
}

static int
poll_ms(const struct net *net)
{
	uint64_t now = dm_now_ms();

	return net->look_ms > now ? (int)(net->look_ms - now) : 0;
}

static void
cancel_all(struct net *net, struct transfer_list *list)
{
	struct transfer *t;

	while ((t = TAILQ_FIRST(list)) != NULL) {
		struct dm_err err = { 0 };

		(void)dm_fail(&err, DM_CANCELLED, "closing");
		TAILQ_REMOVE(list, t, entry);
		http_release(t, net->multi);
		transfer_end(t, &err);
	}
}

static void *
http_main(void *arg)
{
	struct net *net = arg;
	int n;

	while (take_incoming(net)) {
		(void)curl_multi_perform(net->multi, &n);
		reap(net);
		look_at_all(net);
		(void)curl_multi_poll(net->multi, NULL, 0, poll_ms(net), &n);
	}
	cancel_all(net, &net->running);
	return NULL;
}

/* Wait for a folder transfer; NULL if net is closing. */
static struct transfer *
next_folder_job(struct net *net)
{
	struct transfer *t = NULL;

	dm_lock(&net->mu);
	while (!net->stopping && TAILQ_EMPTY(&net->folder_jobs))
		dm_cond_wait(&net->work, &net->mu);
	if (!net->stopping) {
		t = TAILQ_FIRST(&net->folder_jobs);
		TAILQ_REMOVE(&net->folder_jobs, t, entry);
	}
	dm_unlock(&net->mu);
	return t;
}

static void *
folder_main(void *arg)
{
	struct net *net = arg;
	struct transfer *t;

	while ((t = next_folder_job(net)) != NULL) {
		struct dm_err err = { 0 };

		if (folder_read(net, t, &err) < 0)
			transfer_end(t, &err);
		else
			transfer_end(t, NULL);
	}
	return NULL;
}

static unsigned
or_default(unsigned value, unsigned otherwise)
{
	return value != 0 ? value : otherwise;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_state;

static void
start_curl(void)
{
	curl_state = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int
start_threads(struct net *net, struct dm_err *err)
{
	int rc = 0;

	while (rc == 0 && net->nthreads < 1 + FOLDER_THREADS) {
		rc = pthread_create(&net->threads[net->nthreads], NULL,
		    net->nthreads == 0 ? http_main : folder_main, net);
		net->nthreads += rc == 0;
	}
	if (rc == 0)
		return 0;
	errno = rc;
	return dm_fail_errno(err, "start network threads");
}

static int
make_multi(struct net *net, struct dm_err *err)
{
	(void)pthread_once(&curl_once, start_curl);
	if (curl_state != CURLE_OK)
		return dm_fail(err, DM_NOMEM, "libcurl does not start");
	net->multi = curl_multi_init();
	if (net->multi == NULL ||
	    curl_multi_setopt(net->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
		(long)net->opt.connections) != CURLM_OK)
		return dm_fail(err, DM_NOMEM, "libcurl");
	return 0;
}

static void
closep(struct net **net)
{
	net_close(*net);
}

int
net_open(struct net **out, const struct net_options *opt, struct dm_err *err)
{
	DM_AUTO(closep) struct net *net = calloc(1, sizeof(*net));
	sigset_t all, before;
	int rc;

	if (net == NULL)
		return dm_fail(err, DM_NOMEM, "network");
	net->opt.connections = or_default(opt->connections, 8);
	net->opt.connect_ms = or_default(opt->connect_ms, 5000);
	net->opt.stall_ms = or_default(opt->stall_ms, 10000);
	net->opt.backoff_ms = or_default(opt->backoff_ms, 200);
	dm_mutex_init(&net->mu, DM_RANK_NET);
	dm_cond_init(&net->work);
	TAILQ_INIT(&net->incoming);
	TAILQ_INIT(&net->folder_jobs);
	TAILQ_INIT(&net->running);
	if (make_multi(net, err) < 0)
		return -1;
	/* Signals are for other threads, and SIGPIPE for none. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = start_threads(net, err);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc < 0)
		return -1;
	*out = dm_steal(&net);
	return 0;
}

void
net_close(struct net *net)
{
	if (net == NULL)
		return;
	dm_lock(&net->mu);
	atomic_store(&net->stopping, true);
	pthread_cond_broadcast(&net->work);
	dm_unlock(&net->mu);
	if (net->multi != NULL)
		(void)curl_multi_wakeup(net->multi);
	for (unsigned i = 0; i < net->nthreads; i++)
		(void)pthread_join(net->threads[i], NULL);
	cancel_all(net, &net->incoming);
	cancel_all(net, &net->folder_jobs);
	(void)curl_multi_cleanup(net->multi);
	pthread_cond_destroy(&net->work);
	dm_mutex_destroy(&net->mu);
	free(net);
}
