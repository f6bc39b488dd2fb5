// `servers` of a document: where it says that it is reached, with the defaults of its variables filled in.
import { type Finding, pointerTo } from './finding.ts'
import { isObject, type Json, own } from './tree.ts'

const most = 20

export function serversOf(servers: Json | undefined): { urls: string[]; findings: Finding[] } {
  const list = Array.isArray(servers) ? servers : []
  if (list.length > most)
    return { urls: [], findings: [{ pointer: '/servers', detail: `There are more than ${most} servers.` }] }
  const urls = [...new Set(list.map(urlOf))]
  const at = urls.findIndex((url) => !isUsable(url))
  if (at < 0) return { urls, findings: [] }
  const detail = `The server ${JSON.stringify(urls[at]!.slice(0, 100))} must be an http or https URL without user, query and fragment, or a path.`
  return { urls: [], findings: [{ pointer: pointerTo('servers', at, 'url'), detail }] }
}

function urlOf(server: Json): string {
  const variables = own(server, 'variables')
  const fill = (whole: string, name: string) => {
    const fallback = isObject(variables) ? own(own(variables, name), 'default') : undefined
    return typeof fallback === 'string' ? fallback : whole
  }
  return String(own(server, 'url') ?? '/').replace(/\{([^{}]*)\}/g, fill)
}

/** An origin that does not exist: relative URLs stand for whatever host is asked. */
const anywhere = 'http://any.invalid'

function isUsable(url: string): boolean {
  if (/[\\%;{}\s]/.test(url) || !URL.canParse(url, anywhere)) return false
  const { protocol, username, password, search, hash, pathname } = new URL(url, anywhere)
  return /^https?:$/.test(protocol) && username + password + search + hash === '' && !pathname.includes('//')
}
