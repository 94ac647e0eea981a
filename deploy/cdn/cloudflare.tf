# Cloudflare in front of Tidegate (Terraform, provider 5). Tidegate's tests check the syntax alone.
# Cloudflare appends the visitor's address to X-Forwarded-For. Tidegate: edge.trusted_proxies = the
# ranges of cloudflare.com/ips; a firewall or a tunnel lets only these reach the port. Leave the
# managed transform "Remove visitor IP headers" off.

variable "zone_id" { type = string }
variable "host" {
  type    = string
  default = "t.example.com"
}

resource "cloudflare_ruleset" "tidegate_cache" {
  zone_id = var.zone_id
  name    = "Tidegate"
  kind    = "zone"
  phase   = "http_request_cache_settings"
  rules = [
    # Hits and answers about visitors: never cached.
    {
      description = "Tidegate: hits"
      expression  = "(http.host eq \"${var.host}\" and not (starts_with(http.request.uri.path, \"/tag.\") and ends_with(http.request.uri.path, \".js\")))"
      action      = "set_cache_settings"
      action_parameters = {
        cache = false
      }
    },
    # The tag: as long as its own Cache-Control says, whatever the query is.
    {
      description = "Tidegate: tag"
      expression  = "(http.host eq \"${var.host}\" and starts_with(http.request.uri.path, \"/tag.\") and ends_with(http.request.uri.path, \".js\"))"
      action      = "set_cache_settings"
      action_parameters = {
        cache       = true
        edge_ttl    = { mode = "respect_origin" }
        browser_ttl = { mode = "respect_origin" }
        cache_key   = { custom_key = { query_string = { exclude = { all = true } } } }
      }
    },
  ]
}

# Nothing may rewrite the tag or stand between a page and its hits: a challenge answered to fetch()
# or an image is a lost hit. Bots are marked by Tidegate and are yours to leave out.
resource "cloudflare_ruleset" "tidegate_config" {
  zone_id = var.zone_id
  name    = "Tidegate"
  kind    = "zone"
  phase   = "http_config_settings"
  rules = [{
    description = "Tidegate: as it is"
    expression  = "(http.host eq \"${var.host}\")"
    action      = "set_config"
    action_parameters = {
      rocket_loader     = false
      bic               = false
      email_obfuscation = false
      security_level    = "essentially_off"
    }
  }]
}
