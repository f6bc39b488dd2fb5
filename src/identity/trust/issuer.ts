// PURE: which URLs an issuer, and the keys it names, may have: https at a public address, or what the operator lists
// in LATCHKEY_INTERNAL_ISSUERS. What a name resolves to is looked at when it is connected to (fetch-json.ts).
import { isIP } from 'node:net'
import { isLoopbackAddress, isPublicAddress } from './public-address.ts'

/** May this address be connected to for this URL? */
export type AddressRule = (address: string) => boolean

/** @param internal origins that the operator lists @returns null: it is not fetched from at all */
export function addressRule(url: string, internal: readonly string[]): AddressRule | null {
  if (!URL.canParse(url)) return null
  const { protocol, origin, username, password } = new URL(url)
  if (username !== '' || password !== '') return null
  const isListed = internal.includes(origin)
  if (protocol === 'https:') return isListed ? () => true : isPublicAddress
  // In plain http anybody on the way could put in keys of their own; on the loopback there is nobody.
  return protocol === 'http:' && isListed ? isLoopbackAddress : null
}

/** @returns what is wrong with an issuer's URL, for whoever makes the policy; null: nothing that its text shows */
export function wrongIssuer(issuer: string, internal: readonly string[]): string | null {
  const url = URL.canParse(issuer) ? new URL(issuer) : null
  const isPlain = url !== null && [url.href, url.href.replace(/\/$/, '')].includes(issuer)
  if (!isPlain || url.search !== '' || url.hash !== '')
    return 'Must be the URL that stands in iss, letter by letter, without query and fragment.'
  const rule = addressRule(issuer, internal)
  if (rule === null) return `Must begin with https://. ${unlessListed}`
  const host = hostOf(url)
  if (isIP(host) !== 0 ? !rule(host) : rule === isPublicAddress && /(^|\.)localhost$/.test(host))
    return `Must be at a public address. ${unlessListed}`
  return null
}

const unlessListed = 'An issuer inside is trusted if the operator lists it in LATCHKEY_INTERNAL_ISSUERS.'

/** Without the brackets of an IPv6 address. */
export const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '')
