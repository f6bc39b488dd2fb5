// Writes what is generated from the code and committed: the OpenAPI document and the table of settings.
// With --check nothing is written: exit 1 names each file that is not what the code says.
import { readFile, writeFile } from 'node:fs/promises'
import { readConfig, type Setting, settings } from '../src/config.ts'
import { openPglite } from '../src/db/embedded.ts'
import { createLogger } from '../src/observe/logger.ts'
import { start } from '../src/start.ts'

const root = new URL('../', import.meta.url)

const generated = {
  'openapi/latchkey.json': await openapiDocument(),
  'docs/operate/settings.md': settingsPage(),
}

const check = process.argv.includes('--check')
for (const [path, content] of Object.entries(generated)) {
  const file = new URL(path, root)
  const present = await readFile(file, 'utf8').catch(() => null)
  if (present === content) console.log(`${path} is up to date`)
  else if (check) {
    console.error(`${path} is not what the code says. Run: npm run generate`)
    process.exitCode = 1
  } else {
    await writeFile(file, content)
    console.log(`${path} written`)
  }
}

/** Of a Latchkey in memory, as it would serve it at the default address. */
async function openapiDocument(): Promise<string> {
  const config = readConfig({
    LATCHKEY_PORT: '0',
    LATCHKEY_SECRET: 'of nothing that lasts',
    LATCHKEY_ISSUER: 'http://localhost:8080',
    LATCHKEY_DRAIN_SECONDS: '0',
  })
  // 'postgres', because a store in memory has no directory to keep an admin token in.
  const store = { ...(await openPglite('memory://')), engine: 'postgres' as const }
  const running = await start(config, { logger: createLogger('silent'), store })
  const document = JSON.stringify(running.app.swagger(), null, 2)
  await running.stop()
  return `${document}\n`
}

function settingsPage(): string {
  const rows = Object.values(settings).map(
    (one: Setting<unknown>) => `| \`${one.name}\` | ${fallbackOf(one)} | ${one.doc.replaceAll('|', '\\|')} |`,
  )
  return `<!-- Generated from src/config.ts by \`npm run generate\`; change it there. -->
# Settings

Settings are environment variables. Instead of a value, a file that holds it can be named: \`<NAME>_FILE=/path\`
(a newline at its end is dropped). That is the better way for those marked *secret*, because an environment is easily
read and logged. An empty variable counts as not set; to set both a variable and its \`_FILE\` is refused. Everything
that is wrong is reported at once, before anything is served. A variable that begins with \`LATCHKEY_\` and is none of these (nor
one of the command line’s) is ignored, with a warning in the log.

| setting | default | what it does |
|---|---|---|
${rows.join('\n')}
`
}

function fallbackOf({ fallback, secret }: Setting<unknown>): string {
  const value = fallback === null || fallback === '' ? 'none' : `\`${fallback}\``
  return secret ? `${value}, *secret*` : value
}
