// What the workflow says → what it means, or an error that says what to change.

/** The JWT goes there: nobody on the way may read it. */
export function serverUrl(text) {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null)
    throw new Error(`url: "${text}" is no URL. It is where Latchkey is: https://latchkey.example.com`)
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback))
    throw new Error(`url: must begin with https://, not ${url.protocol}// The job's identity is sent there.`)
  if (url.username + url.password + url.search + url.hash !== '')
    throw new Error('url: must have no user, query or fragment.')
  return text.replace(/\/+$/, '')
}

export const words = (text) => text.split(/[\s,]+/).filter((word) => word !== '')

const units = { s: 1, m: 60, h: 3_600 }

export function durationSeconds(text) {
  const [, count, unit] = /^(\d{1,6})([smh])$/.exec(text) ?? []
  const seconds = Number(count) * units[unit]
  if (seconds > 0) return seconds
  throw new Error(`ttl: "${text}" is no duration. Write 90s, 15m or 1h.`)
}
