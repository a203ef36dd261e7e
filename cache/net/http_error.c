#include "cache/net/http_error.h"

#include <errno.h>
#include <openssl/x509_vfy.h>

#include "cache/base/err.h"

bool
http_error_status(long status, struct dm_err *err)
{
	switch (status) {
	case 404:
	case 410:
		(void)dm_fail(err, DM_NOTFOUND, "HTTP %ld, not found", status);
		return false;
	case 401:
	case 403:
		(void)dm_fail(err, DM_DENIED,
		    "HTTP %ld, the server does not let us read this", status);
		return false;
	case 416:
		(void)dm_fail(err, DM_CORRUPT,
		    "HTTP 416, the file is shorter than it should be");
		return false;
	case 408:
	case 425:
	case 429:
		(void)dm_fail(err, DM_OFFLINE, "HTTP %ld", status);
		return true;
	default:
		break;
	}
	if (status >= 500) {
		(void)dm_fail(err, DM_OFFLINE, "HTTP %ld", status);
		return true;
	}
	if (status >= 400)
		(void)dm_fail(err, DM_DENIED,
		    "HTTP %ld, the server refuses the request", status);
	else
		(void)dm_fail(err, DM_CORRUPT, "HTTP %ld is no answer to a GET",
		    status);
	return false;
}

static bool
cannot_connect(CURL *easy, struct dm_err *err)
{
	long number = 0;

	(void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
	if (number == ECONNREFUSED) {
		(void)dm_fail(err, DM_OFFLINE,
		    "connection refused (is the server running?)");
		return true;
	}
	errno = (int)number;
	(void)dm_fail(err, DM_OFFLINE, "cannot connect: %m");
	return true;
}

static bool
not_trusted(CURL *easy, const char *detail, struct dm_err *err)
{
	long chain = X509_V_OK;

	(void)curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &chain);
	/* Unless its chain is what is wrong, curl has not set the result. */
	if (chain == X509_V_OK || chain == X509_V_ERR_UNSPECIFIED)
		(void)dm_fail(err, DM_DENIED,
		    "the certificate is not for this host (%s);"
		    " check the URL's host name",
		    detail);
	else
		(void)dm_fail(err, DM_DENIED,
		    "the certificate is not trusted (%s); if its authority is"
		    " your own, name its file in SSL_CERT_FILE",
		    detail);
	return false;
}

bool
http_error_curl(CURL *easy, CURLcode result, const char *detail,
    struct dm_err *err)
{
	if (result == CURLE_OPERATION_TIMEDOUT && detail[0] == '\0')
		detail = "nothing more came in time";
	if (detail[0] == '\0')
		detail = curl_easy_strerror(result);
	/* The rest of curl's hundred codes may pass: try again. */
	switch ((int)result) {
	case CURLE_COULDNT_CONNECT:
		return cannot_connect(easy, err);
	case CURLE_COULDNT_RESOLVE_HOST:
		(void)dm_fail(err, DM_OFFLINE,
		    "no address for this host (is its name right,"
		    " is the network up?)");
		return true;
	case CURLE_PEER_FAILED_VERIFICATION:
		return not_trusted(easy, detail, err);
	case CURLE_SSL_CACERT_BADFILE:
		(void)dm_fail(err, DM_DENIED,
		    "cannot read the trusted certificates (%s);"
		    " check SSL_CERT_FILE",
		    detail);
		return false;
	case CURLE_UNSUPPORTED_PROTOCOL: /* an answer that is no HTTP/1 */
	case CURLE_WEIRD_SERVER_REPLY:
		(void)dm_fail(err, DM_CORRUPT,
		    "the answer is no HTTP (is this a web server?)");
		return true;
	case CURLE_URL_MALFORMAT:
		(void)dm_fail(err, DM_INVALID, "%s", detail);
		return false;
	case CURLE_OUT_OF_MEMORY:
		(void)dm_fail(err, DM_NOMEM, "HTTP request");
		return false;
	default:
		(void)dm_fail(err, DM_OFFLINE, "%s", detail);
		return true;
	}
}
