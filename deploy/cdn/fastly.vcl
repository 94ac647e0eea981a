# Fastly in front of Tidegate: custom VCL for a service of its own (t.example.com). Written after
# Fastly's manual; neither compiled nor run in Tidegate's tests.
# Tidegate: edge.trusted_proxies = Fastly's published ranges (api.fastly.com/public-ip-list), and a
# firewall that lets only these reach the port.

sub vcl_recv {
#FASTLY recv
  # At the first Fastly node only: what the client wrote there ends here. A shield node keeps it.
  if (fastly.ff.visits_this_service == 0 && req.restarts == 0) {
    set req.http.X-Forwarded-For = client.ip;
  }
  if (req.url.path ~ "^/tag(\.[0-9a-f]+)?\.js$" && (req.method == "GET" || req.method == "HEAD")) {
    # One file for all visitors: nothing of theirs may part the cache.
    unset req.http.Cookie;
    set req.url = req.url.path;
    return(lookup);
  }
  # Hits and answers about visitors: never looked up, never stored, cookies both ways.
  return(pass);
}

sub vcl_fetch {
#FASTLY fetch
  if (req.url.path ~ "^/tag(\.[0-9a-f]+)?\.js$" && beresp.status == 200 && !beresp.http.Set-Cookie) {
    # Its own Cache-Control gives the ttl; a page keeps its tag while the gateway restarts.
    set beresp.stale_if_error = 1d;
    set beresp.stale_while_revalidate = 60s;
    return(deliver);
  }
  return(pass);
}

# Backend settings to go with it: first_byte_timeout 30 s (longer than edge.ack_timeout), TLS to the
# origin with its certificate checked, override_host unset so that Host stays the visitor's.
