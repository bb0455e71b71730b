-- Finds out which model a request asks for, and names it in the header x-shimmy-route, by which the tenant's routes are
-- matched: to set a header makes Envoy look the route up anew. Envoy runs this for requests with a known key only.
--
-- The body is read as far as the key "model" of its outermost object, and no further: the runner reads it whole, and
-- refuses what is no JSON behind that place. A key that is spelled with escapes is not seen.

local byte, char, find, gsub, match, sub = string.byte, string.char, string.find, string.gsub, string.match, string.sub

-- Faults begin with "!", which no name or alias of a model does.
local INVALID_JSON, NO_MODEL, NO_SUCH_NAME = "!invalid-json", "!no-model", "!no-such-name"

local QUOTE, COMMA, COLON, BACKSLASH = 34, 44, 58, 92
local OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT = 91, 93, 123, 125

-- The place of the next byte at or after `at` that is no white space, and that byte.
local function next_byte(text, at)
  local found = byte(text, at)
  while found == 32 or found == 10 or found == 13 or found == 9 do
    at = at + 1
    found = byte(text, at)
  end
  return at, found
end

-- The place of the quote that ends the string that begins at `at`; nil where none does.
local function string_end(text, at)
  at = at + 1
  local found = byte(text, at)
  while found ~= QUOTE do
    if not found then
      return nil
    end
    at = at + (found == BACKSLASH and 2 or 1)
    found = byte(text, at)
  end
  return at
end

-- The place of the last byte of the value that begins at `at` with the byte `first`; nil where it has no end.
local function value_end(text, at, first)
  if first == QUOTE then
    return string_end(text, at)
  end
  if first ~= OPEN_OBJECT and first ~= OPEN_LIST then
    local _, last = find(text, "^[%w.+-]+", at)
    return last
  end
  local depth = 0
  local found = first
  while found do
    if found == QUOTE then
      at = string_end(text, at)
      if not at then
        return nil
      end
    elseif found == OPEN_OBJECT or found == OPEN_LIST then
      depth = depth + 1
    elseif found == CLOSE_OBJECT or found == CLOSE_LIST then
      depth = depth - 1
      if depth == 0 then
        return at
      end
    end
    at = at + 1
    found = byte(text, at)
  end
  return nil
end

local function ascii(hex)
  local code = tonumber(hex, 16)
  return code < 128 and char(code) or nil
end

-- The same name without Ollama's default tag, or a fault. It has what models and aliases consist of: nothing else may
-- become a header.
local function plain(name)
  if sub(name, -7) == ":latest" then
    name = sub(name, 1, -8)
  end
  return match(name, "^[%w._:/-]+$") or NO_SUCH_NAME
end

-- The name of a model in the inside of a JSON string, or a fault.
local function name_in(text)
  if find(text, "\\", 1, true) then
    text = gsub(gsub(text, "\\/", "/"), "\\u(%x%x%x%x)", ascii)
  end
  return plain(text)
end

-- The public part of the API key is for the runner's journal. The key is the first word that begins with "sk-", as it is
-- for the scope that led here: no other word may pass for it.
local function add_key_id(headers)
  local key = headers:get("x-shimmy-key")
  local at = sub(key, 1, 3) == "sk-" and 0 or find(key, " sk-", 1, true)
  if at and sub(key, at + 1, at + 10) == "sk-shimmy-" then
    headers:add("x-shimmy-key-id", sub(key, at + 1, at + 18))
  end
end

-- The name of the model in a request's body, or a fault. Older clients of Ollama call it `name`.
function model_in(body)
  local otherwise = NO_MODEL
  local at, found = next_byte(body, 1)
  if found ~= OPEN_OBJECT then
    return INVALID_JSON
  end
  at, found = next_byte(body, at + 1)
  if found == CLOSE_OBJECT then
    return otherwise
  end
  while found == QUOTE do
    local key = at
    at = string_end(body, at)
    if not at then
      return INVALID_JSON
    end
    local length = at - key - 1
    local is_model = length == 5 and sub(body, key + 1, at - 1) == "model"
    local is_name = length == 4 and sub(body, key + 1, at - 1) == "name"
    at, found = next_byte(body, at + 1)
    if found ~= COLON then
      return INVALID_JSON
    end
    at, found = next_byte(body, at + 1)
    local value, first = at, found
    at = value_end(body, at, found)
    if not at then
      return INVALID_JSON
    end
    if is_model then
      return first == QUOTE and at > value + 1 and name_in(sub(body, value + 1, at - 1)) or NO_MODEL
    end
    if is_name and first == QUOTE then
      otherwise = name_in(sub(body, value + 1, at - 1))
    end
    at, found = next_byte(body, at + 1)
    if found == CLOSE_OBJECT then
      return otherwise
    end
    if found ~= COMMA then
      return INVALID_JSON
    end
    at, found = next_byte(body, at + 1)
  end
  return INVALID_JSON
end

function envoy_on_request(request)
  local body = request:body()
  local headers = request:headers()
  add_key_id(headers)
  headers:add("x-shimmy-route", body and model_in(body:getBytes(0, body:length())) or NO_MODEL)
end
