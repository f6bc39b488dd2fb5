// Every way in which Latchkey says no, in one list: the catalog, the OpenAPI document and the pages under
// /problems/ are made from it. How a problem becomes an answer is problem.ts's business.

export type ProblemKind = {
  readonly status: number
  readonly title: string
  readonly meaning: string
  readonly whatToDo: string
  readonly retry: 'never' | 'after-delay'
}

export const problems = {
  'validation-failed': {
    status: 400,
    title: 'The request is not as documented',
    meaning: 'A field, parameter or header has a wrong type, form or value; `errors` names each.',
    whatToDo: 'Correct what errors[].pointer or errors[].parameter names and send it again.',
    retry: 'never',
  },
  'unknown-field': {
    status: 400,
    title: 'The request has a field that does not exist',
    meaning: 'A field of the body or a query parameter is unknown; nothing is silently ignored.',
    whatToDo: 'Use the name that errors[].detail suggests, or leave the field out.',
    retry: 'never',
  },
  'unknown-scope': {
    status: 400,
    title: 'A scope is declared by no service',
    meaning: 'Scopes exist only when a service has declared them.',
    whatToDo: 'Take the name that errors[].detail suggests, or look the scope up in the catalog.',
    retry: 'never',
  },
  'malformed-request': {
    status: 400,
    title: 'The request cannot be read',
    meaning: 'The HTTP message, its URL or its JSON is malformed.',
    whatToDo: 'Check the encoding of URL and body.',
    retry: 'never',
  },
  'invalid-token': {
    status: 401,
    title: 'No valid token was presented',
    meaning: 'The bearer token is missing, malformed, unknown, expired, disabled or revoked.',
    whatToDo: 'Send "Authorization: Bearer <token>". If it is refused, get a new token.',
    retry: 'never',
  },
  'insufficient-scope': {
    status: 403,
    title: 'The token lacks a required scope',
    meaning: 'The token is good, but may not do this.',
    whatToDo: 'Provision a token that has requiredScopes; do not reach for a broader one.',
    retry: 'never',
  },
  'ip-not-allowed': {
    status: 403,
    title: 'The token may not be used from this address',
    meaning: 'The caller’s address is outside the token’s ipRestriction.',
    whatToDo:
      'Compare clientIp with the token’s ipRestriction; behind a proxy, check LATCHKEY_TRUSTED_PROXIES.',
    retry: 'never',
  },
  'policy-violation': {
    status: 403,
    title: 'The caller may not do this to that',
    meaning: 'The request would give more than the caller, the subject or the settings allow.',
    whatToDo: 'Ask for what `detail` names as the limit.',
    retry: 'never',
  },
  'not-found': {
    status: 404,
    title: 'There is no such thing here',
    meaning: 'The path or the object does not exist, or is not visible to the caller.',
    whatToDo: 'Check the path in the catalog and the id in a list.',
    retry: 'never',
  },
  'method-not-allowed': {
    status: 405,
    title: 'The path does not take this method',
    meaning: 'The path exists; the Allow header lists its methods.',
    whatToDo: 'Use one of the methods in the Allow header.',
    retry: 'never',
  },
  'request-timeout': {
    status: 408,
    title: 'The request took too long to arrive',
    meaning: 'Headers or body were not complete in time, so the connection was closed.',
    whatToDo: 'Send the request again, in one go.',
    retry: 'after-delay',
  },
  conflict: {
    status: 409,
    title: 'The present state does not permit this',
    meaning: 'The object already exists, or is in a state in which this cannot be done.',
    whatToDo: 'Read the object again and decide anew.',
    retry: 'never',
  },
  'idempotency-in-progress': {
    status: 409,
    title: 'A request with this key is being worked on',
    meaning: 'Another request with the same Idempotency-Key has not been answered yet.',
    whatToDo: 'Send the same request again after Retry-After seconds: it gets the answer of the first.',
    retry: 'after-delay',
  },
  'idempotency-key-reused': {
    status: 422,
    title: 'The key was used for another request',
    meaning: 'An Idempotency-Key stands for one request: its method, path and body.',
    whatToDo: 'Make a new key for each request, and keep it only to send that request again.',
    retry: 'never',
  },
  'precondition-failed': {
    status: 412,
    title: 'The object has changed meanwhile',
    meaning: 'If-Match names another version than the present one.',
    whatToDo: 'GET the object again, and repeat the change with its new ETag.',
    retry: 'never',
  },
  'too-large': {
    status: 413,
    title: 'The request body is too large',
    meaning: 'The body is over the limit of this endpoint.',
    whatToDo: 'Send less.',
    retry: 'never',
  },
  'unsupported-media-type': {
    status: 415,
    title: 'The content type is not taken here',
    meaning: 'REST endpoints take application/json, OAuth endpoints application/x-www-form-urlencoded.',
    whatToDo: 'Set Content-Type accordingly.',
    retry: 'never',
  },
  'headers-too-large': {
    status: 431,
    title: 'The request headers are too large',
    meaning: 'Request line and headers together are over 16 KiB.',
    whatToDo: 'Send fewer or shorter headers.',
    retry: 'never',
  },
  unavailable: {
    status: 503,
    title: 'Latchkey cannot answer at the moment',
    meaning: 'The store is out of reach. Nothing was changed that was not acknowledged.',
    whatToDo: 'Try again after Retry-After seconds.',
    retry: 'after-delay',
  },
  internal: {
    status: 500,
    title: 'Latchkey made a mistake',
    meaning: 'An unexpected error; the log has it under the requestId.',
    whatToDo: 'Report it with the requestId.',
    retry: 'never',
  },
} as const satisfies Record<string, ProblemKind>

export type ProblemCode = keyof typeof problems
