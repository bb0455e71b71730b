
-- Stands behind model.lua. A WebSocket has no body: the model stands in the query or in the header x-model.

local function unescaped(hex)
  return char(tonumber(hex, 16))
end

function envoy_on_request(request)
  local headers = request:headers()
  add_key_id(headers)
  local asked = match(headers:get(":path"), "[?&]model=([^&]+)") or headers:get("x-model")
  headers:add("x-shimmy-route", asked and plain((gsub(asked, "%%(%x%x)", unescaped))) or NO_MODEL)
end
