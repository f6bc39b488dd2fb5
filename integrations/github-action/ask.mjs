// One request over HTTP. It is not led elsewhere: what is sent is for who was asked.

/** An error after which it is worth to try again. */
export class MayPass extends Error {
  constructor(message, afterMs = null) {
    super(message)
    this.afterMs = afterMs
  }
}

const withinMs = 30_000

/** @param whom for people @returns body null: it is no JSON */
export async function ask(whom, url, options) {
  try {
    const signal = AbortSignal.timeout(withinMs)
    const response = await fetch(url, { ...options, redirect: 'manual', signal })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: parsed(text) }
  } catch (error) {
    // The cause says what a machine could not do (ECONNREFUSED, a certificate); what was sent is not in it.
    const cause = error.cause?.code ?? error.cause?.message ?? error.name
    throw new MayPass(`${whom} cannot be reached at ${new URL(url).origin} (${cause}).`)
  }
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

export function retryAfterMs(headers) {
  const seconds = headers.get('retry-after')
  return /^\d{1,6}$/.test(seconds ?? '') ? Number(seconds) * 1_000 : null
}
