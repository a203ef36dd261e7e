#include "fs/cmd/date.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The number in exactly n digits at *p, which moves behind them. */
static bool
digits(const char **p, int n, int *out)
{
	for (*out = 0; n > 0; n--, ++*p) {
		if (**p < '0' || **p > '9')
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return true;
}

static bool
skip(const char **p, char c)
{
	if (**p != c)
		return false;
	++*p;
	return true;
}

static int
days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30,
		31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static int64_t
days_since_1970(int year, int month, int day)
{
	int64_t days = day - 1;

	for (int y = 1970; y < year; y++)
		days += 337 + days_in(y, 2);
	for (int m = 1; m < month; m++)
		days += days_in(year, m);
	return days;
}

/* "Z", "+HH:MM" or nothing: seconds east of UTC. */
static bool
zone(const char **p, int64_t *east)
{
	int hours, minutes, sign = **p == '-' ? -1 : 1;

	*east = 0;
	if (skip(p, 'Z') || **p == '\0')
		return true;
	if (!skip(p, '+') && !skip(p, '-'))
		return false;
	if (!digits(p, 2, &hours))
		return false;
	(void)skip(p, ':');
	if (!digits(p, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*east = (int64_t)sign * (hours * 60 + minutes) * 60;
	return true;
}

static bool
iso_parse(int64_t *seconds, const char *p)
{
	int year, month, day, hour = 0, minute = 0, second = 0;
	int64_t east = 0;

	if (!digits(&p, 4, &year) || !skip(&p, '-') || !digits(&p, 2, &month) ||
	    !skip(&p, '-') || !digits(&p, 2, &day))
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 ||
	    day > days_in(year, month))
		return false;
	if (skip(&p, 'T') || skip(&p, ' ')) {
		if (!digits(&p, 2, &hour) || !skip(&p, ':') ||
		    !digits(&p, 2, &minute))
			return false;
		if (skip(&p, ':') && !digits(&p, 2, &second))
			return false;
		if (hour > 23 || minute > 59 || second > 60 || !zone(&p, &east))
			return false;
	}
	minute += 60 * hour;
	*seconds = days_since_1970(year, month, day) * 86400 +
	    (int64_t)minute * 60 + second - east;
	return *p == '\0';
}

bool
date_parse(uint64_t *seconds, const char *text)
{
	size_t n = strspn(text, "0123456789");
	int64_t s = -1;

	if (n > 4 && text[n] == '\0') {
		errno = 0;
		s = strtoll(text, NULL, 10);
		if (errno != 0)
			return false;
	} else if (!iso_parse(&s, text)) {
		return false;
	}
	*seconds = (uint64_t)s;
	return s > 0;
}
