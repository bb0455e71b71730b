-- Says in the header x-shimmy-subject whom a token is about, by which Envoy selects the tenant's routes: to set a header
-- makes Envoy look the route up anew. jwt_authn has checked the token, and left its content in the metadata under the
-- name of the claim that counts. A request without a checked token ends here.

local find, type = string.find, type

-- The only audience of a token: a text, or a list of one text (RFC 7519, section 4.1.3); nil where there are several. It
-- must not contain a blank, which ends it in the subject.
local function audience_of(payload)
  local audience = payload["aud"]
  if type(audience) == "table" and #audience == 1 then
    audience = audience[1]
  end
  return type(audience) == "string" and not find(audience, "%s") and audience or nil
end

-- Whom the token is about; nil where it does not say so in text.
local function subject_of(verified)
  for claim, payload in pairs(verified) do
    local value, audience = payload[claim], audience_of(payload)
    if type(value) == "string" and audience and value ~= "" and not find(value, "%c") then
      return payload["iss"] .. " " .. audience .. " " .. value
    end
  end
end

function envoy_on_request(request)
  local subject = subject_of(request:streamInfo():dynamicMetadata():get("envoy.filters.http.jwt_authn") or {})
  if not subject then
    request:respond({[":status"] = "401"}, "") -- the listener says it in full
    return
  end
  local headers = request:headers()
  headers:replace("x-shimmy-key", "sk-none") -- nothing of it shall be taken for a key
  headers:replace("x-shimmy-subject", subject)
  -- Envoy finds those routes by a hash of the subject, and compares nothing. Somebody who may choose a name could find one
  -- with another subject's hash, so the routes themselves say whom they are for.
  local subjects = request:metadata():get("subjects")
  if not (subjects and subjects[subject]) then
    request:respond({[":status"] = "401"}, "")
  end
end
