-- Asks Latchkey whether a request may pass, for haproxy.cfg: leaves status, challenge and identity in variables of the
-- transaction. It decides nothing; where something goes wrong there is no status, and haproxy.cfg refuses. The action's
-- argument is Latchkey's URL, with an IP address unless HAProxy has resolvers.

-- Instead of LATCHKEY_TRUSTED_PROXIES, for a gateway without a fixed address: base64 of "posts:<client secret>".
local gateway = os.getenv("LATCHKEY_GATEWAY")
-- HAProxy tries four times.
local timeout_ms = 1500

local kept = {
  ["www-authenticate"] = "txn.latchkey_challenge",
  ["x-auth-subject"] = "txn.latchkey_subject",
  ["x-auth-token-id"] = "txn.latchkey_token_id",
  ["x-auth-scopes"] = "txn.latchkey_scopes",
  ["x-auth-team"] = "txn.latchkey_team",
}

core.register_action("latchkey", { "http-req" }, function(txn, url)
  local sent = txn.http:req_get_headers()
  local function first(name)
    return sent[name] and { sent[name][0] }
  end
  -- Only these: nothing else of the client's reaches Latchkey.
  local answer = core.httpclient():get({
    url = url,
    timeout = timeout_ms,
    headers = {
      ["authorization"] = first("authorization"),
      ["user-agent"] = first("user-agent"),
      ["x-forwarded-method"] = { txn.sf:method() },
      ["x-forwarded-uri"] = { txn.sf:pathq() },
      ["x-forwarded-host"] = first("host"),
      ["x-forwarded-for"] = { txn.sf:src() },
      ["x-gateway-authorization"] = gateway and { "Basic " .. gateway },
    },
  })
  if not answer or not answer.headers then return end
  for name, variable in pairs(kept) do
    local values = answer.headers[name]
    if values and values[0] then txn:set_var(variable, values[0]) end
  end
  -- Last: with a status there is all the rest.
  txn:set_var("txn.latchkey_status", answer.status)
end, 1)
