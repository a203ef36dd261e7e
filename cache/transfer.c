#include "cache/transfer.h"

#include <stdlib.h>

#include "cache/flight.h"

void
transfer_queue_init(struct transfer_queue *q)
{
	*q = (struct transfer_queue){ .tail = &q->head };
}

void
transfer_push(struct transfer_queue *q, struct transfer *t)
{
	t->next = NULL;
	*q->tail = t;
	q->tail = &t->next;
	q->cost += t->cost;
	for (uint32_t i = 0; i < t->n; i++)
		t->flight[i]->queued = t;
}

void
transfer_unlink(struct transfer_queue *q, struct transfer *t)
{
	struct transfer **p = &q->head;

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	q->cost -= t->cost;
	if (*p == NULL)
		q->tail = p;
	for (uint32_t i = 0; i < t->n; i++)
		t->flight[i]->queued = NULL;
}

void
transfer_empty(struct transfer_queue *q)
{
	struct transfer *t;

	while ((t = q->head) != NULL) {
		transfer_unlink(q, t);
		for (uint32_t i = 0; i < t->n; i++)
			flight_free(t->flight[i]);
		free(t);
	}
}
