// Reads the Authorization header: Bearer (RFC 6750 §2.1) and Basic (RFC 7617, with RFC 6749's form encoding).
// Whether what it carries is any good is judged elsewhere.

export type Authorization =
  | { readonly scheme: 'none' }
  | { readonly scheme: 'bearer'; readonly secret: string }
  | { readonly scheme: 'basic'; readonly clientId: string; readonly clientSecret: string }
  | { readonly scheme: 'malformed' }

const isPlain = /^Bearer [0-9A-Za-z_]+$/
const malformed = { scheme: 'malformed' } as const

export function readAuthorization(header: string | undefined): Authorization {
  if (header === undefined) return { scheme: 'none' }
  // As nearly everybody writes it, and any secret of ours; all else takes the longer way.
  if (header.startsWith('Bearer ') && isPlain.test(header))
    return { scheme: 'bearer', secret: header.slice(7) }
  // Schemes are case-insensitive (RFC 9110 §11.1).
  const parts = /^([A-Za-z]+) +([A-Za-z0-9._~+/-]+=*)$/.exec(header)
  const scheme = parts?.[1]?.toLowerCase()
  if (scheme === 'bearer') return { scheme, secret: parts![2]! }
  return scheme === 'basic' ? readBasic(parts![2]!) : malformed
}

/** The secret of a bearer; null: there is none. */
export function bearerSecret(header: string | undefined): string | null {
  const given = readAuthorization(header)
  return given.scheme === 'bearer' ? given.secret : null
}

function readBasic(encoded: string): Authorization {
  const [id, ...rest] = Buffer.from(encoded, 'base64').toString().split(':')
  if (!id || rest.length === 0) return malformed
  const clientId = formDecode(id)
  const clientSecret = formDecode(rest.join(':'))
  return clientId === null || clientSecret === null ? malformed : { scheme: 'basic', clientId, clientSecret }
}

/** Some clients encode even `-` and `_`, others nothing; from our alphabet both read the same (standards §0.2). */
function formDecode(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return null
  }
}
