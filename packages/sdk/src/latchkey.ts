// Where Latchkey is and who we are to it. The credentials go into one header and nowhere else.

export type ServiceCredentials = {
  /** Where Latchkey is, as this service reaches it: `https://tokens.example.com`, with or without a path. */
  readonly url: string
  readonly clientId: string
  readonly clientSecret: string
}

export type Latchkey = { readonly url: string; readonly authorization: string }

/** @throws TypeError that names the setting that is missing or wrong, not its value */
export function latchkeyAt({ url, clientId, clientSecret }: ServiceCredentials): Latchkey {
  if (!clientId) throw new TypeError('createVerifier: clientId is missing')
  if (!clientSecret) throw new TypeError('createVerifier: clientSecret is missing')
  return { url: baseUrl(url, 'createVerifier'), authorization: basic(clientId, clientSecret) }
}

/** Without a slash at its end. @param who is told about in the error */
export function baseUrl(text: string, who: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  const usable = url && /^https?:$/.test(url.protocol) && !url.username && !url.password
  if (!usable) throw new TypeError(`${who}: url must be an http(s) URL without credentials`)
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

/** RFC 6749 §2.3.1: encoded, then RFC 7617. */
function basic(id: string, secret: string): string {
  const pair = `${encodeURIComponent(id)}:${encodeURIComponent(secret)}`
  return `Basic ${Buffer.from(pair).toString('base64')}`
}
