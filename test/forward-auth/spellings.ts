// Ways to write a path that some server somewhere reads as another: made by rule from ordinary paths, so that nothing
// depends on luck.

/** Put in place of a slash. */
const slashes = [
  '//',
  '///',
  '/./',
  '/../',
  '/x/../',
  '/.;/',
  '/..;/',
  '/;/',
  '/;x=y/',
  '/%2e/',
  '/%2E%2e/',
  '/.%2e/',
  '/%252e%252e/',
  '/%20/',
  '/%00/',
  '%2f',
  '%2F',
  '/%2f',
  '%252f',
  '\\',
  '/\\',
  '%5c',
  '%5C/',
  '%c0%af',
  '%ef%bc%8f',
  '%e2%81%84',
  '%e2%88%95',
  '/%ef%bc%8e%ef%bc%8e/',
  '\t/',
  ' /',
]

const suffixes = [
  '/ // /. /.. /../ /%2e /%2e%2e /%2f %2f ; ;a=b ;/.. ;/../admin . .. ... .json %2ejson .%6ason',
  '%20 %00 %00.json %09 %0a %0d%0a %7f # #/../admin %23 %3f ? ?? ?x=1 ?/../admin ?;a #? %3b %25 %2525 % %2 %zz %u002e',
  '%c0%ae %e0%80%ae %ff %80 %c3%a9 %C3%A9 %c3%28 %ed%a0%80 %e2%80%a4 %ef%bc%8e %ef%bb%bf',
  '~ * + & @ : , = ! $ \' " ( ) < > [ ] { } | ^ ` \\ _ - %7e %2a %2b %26 %40 %3a %2c %3d %21 %24 %27 %28 %5b %7b %7c',
]
  .flatMap((line) => line.split(' '))
  .concat([' ', '\t', '\u00e9', '\u00a0'])

const prefixes = [
  '/',
  '/.',
  '/..',
  '/%2e',
  '/%2e%2e',
  '/;',
  '/v1/..',
  '/v1/%2e%2e',
  '//posts.example.com',
  'http://posts.example.com',
  'HTTP://other.example.com',
  '\\',
  '*',
  '%2f',
]

const hex = (character: string) => character.charCodeAt(0).toString(16).padStart(2, '0')

/** Each differs from the path in one place. */
export function spellingsOf(path: string): string[] {
  const spelled = [path, path.slice(1), path.toUpperCase(), path.replaceAll(/\b[a-z]/g, capital)]
  for (const [at, character] of [...path].entries()) {
    const put = (text: string) => path.slice(0, at) + text + path.slice(at + 1)
    spelled.push(put(`%${hex(character)}`), put(`%${hex(character).toUpperCase()}`))
    if (/[a-z]/i.test(character)) spelled.push(put(turned(character)))
    else spelled.push(put(`%25${hex(character)}`), put(wide(character)))
    if (character === '/') spelled.push(...slashes.map(put))
  }
  spelled.push(...suffixes.map((suffix) => path + suffix))
  spelled.push(...prefixes.map((prefix) => prefix + path))
  return spelled
}

const capital = (letter: string) => letter.toUpperCase()
const turned = (letter: string) =>
  letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase()
/** U+FF01…, which NFKC makes ASCII again. */
const wide = (character: string) =>
  encodeURIComponent(String.fromCodePoint(character.charCodeAt(0) + 0xfee0)).toLowerCase()
