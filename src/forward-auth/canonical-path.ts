// The path of a request that a gateway asks about, if every server reads it alike: otherwise a gateway could decide on
// one path and the service act on another. What can be read two ways is refused, never repaired (FWD-04). Pure.

const longest = 4_096
/** RFC 3986 §3.3, without ";", behind which some servers ignore the rest of a segment. */
const plain = /^\/[A-Za-z0-9\-._~!$&'()*+,=:@/]*$/
const encodable = /^\/(?:[A-Za-z0-9\-._~!$&'()*+,=:@/]|%[0-9A-Fa-f]{2})*$/
const oddSegments = /\/\/|\/\.{1,2}(?:\/|$)/
/**
 * What servers decode at different times: letters, digits and marks that nobody needs to encode, slashes, dots, "%"
 * itself (double encoding), ";?#" and control characters.
 */
const oddEncoding = /%(?:[01][0-9A-F]|2[35DEF]|3[0-9BF]|[46][1-9A-F]|[57][0-9A]|5[CF]|7[EF])/i

export type CanonicalPath = {
  readonly path: string
  /** The same, decoded; null where nothing is encoded. */
  readonly decoded: string | null
}

/** @param target as it stands in a request line: origin form, with or without a query (RFC 9112 §3.2.1) */
export function canonicalPath(target: string): CanonicalPath | null {
  const end = target.indexOf('?')
  const path = end < 0 ? target : target.slice(0, end)
  if (path.length > longest || oddSegments.test(path)) return null
  if (plain.test(path)) return { path, decoded: null }
  if (!encodable.test(path) || oddEncoding.test(path)) return null
  const decoded = decode(path)
  return decoded === null || looksLikeMore(path, decoded) ? null : { path, decoded }
}

function decode(path: string): string | null {
  try {
    return decodeURIComponent(path)
  } catch {
    return null
  }
}

/** Characters that become a slash, a dot or a delimiter where text is normalised (U+FF0F, U+2024 …). */
function looksLikeMore(path: string, decoded: string): boolean {
  const normal = decoded.normalize('NFKC')
  return (
    /[\\;?#%]/.test(normal) || oddSegments.test(normal) || normal.split('/').length !== path.split('/').length
  )
}
