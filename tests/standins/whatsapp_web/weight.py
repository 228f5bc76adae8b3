"""Script and styles in the amounts that the real page has: nothing in them is WhatsApp's."""

import random
from functools import cache

_MODULES = 4200
_RULES = 7000

_NAMES = ["chat", "message", "contact", "group", "media", "receipt", "device", "signal", "status", "call", "label", "order", "poll", "sync"]
_WORDS = ["Encryption", "Participant", "Thumbnail", "Timestamp", "Notification", "Session", "Identity", "History", "Preference", "Attachment"]

_PIECES = (
    "function {f}(e,t){{var n=e.{p}==null?{n}:e.{p},r=t&&t.{q}||[];for(var o=0;o<r.length;o++){{var a=r[o];if(a.{p}==='{s}')n+=a.{q}.length;"
    "else if(typeof a.{q}==='number')n-=a.{q}%{n};else n=n<<1^o}}return{{{p}:n,{q}:r.map(function(e){{return e.{p}||'{s}'}}),ok:n>{n}}}}}",
    "class {c}{{constructor(e,t){{this.{p}=e;this.{q}=t;this.listeners=new Map;this.state='{s}'}}get {g}(){{return this.{p}&&this.{p}.{q}||null}}"
    "set(e){{for(var t in e)if(Object.prototype.hasOwnProperty.call(e,t)&&this[t]!==e[t]){{this[t]=e[t];this.emit('change:'+t,e[t])}}return this}}"
    "emit(e,t){{var n=this.listeners.get(e);n&&n.forEach(function(e){{e(t)}})}}toJSON(){{return{{{p}:this.{p},{q}:this.{q},state:this.state}}}}}}",
    "async function {f}(e){{try{{var t=await Promise.resolve(e.{p});if(!t)throw new Error('{s}: no {p} for '+e.{q});"
    "return Object.assign({{}},e,{{{p}:t,{q}:{n}}})}}catch(t){{return{{error:String(t),{p}:null,retry:{n}}}}}}}",
    "function {f}(e){{switch(e.type){{case'{s}':return e.{p}+{n};case'{p}':return e.{q};case'{q}':return[e.{p},e.{q},{n}];default:"
    "return e.{p}?{{kind:'{s}',value:e.{p},limit:{n}}}:void 0}}}}",
    "var {c}=Object.freeze({{{p}:'{s}',{q}:'{s}-{n}',LIMIT:{n},PATTERN:/^{p}[-_ ]?\\d{{1,3}}$/i,DEFAULTS:{{{p}:!0,{q}:[{n},{n}]}}}});",
)


def _word(rng: random.Random) -> str:
    return rng.choice(_NAMES) + rng.choice(_WORDS)


@cache
def script() -> bytes:
    """Return 12 MB of modules, as a bundler writes them: each is run when it is first asked for."""
    rng = random.Random(1)
    text = ["const bulk={modules:new Map,made:new Map};function __d(e,t,n){bulk.modules.set(e,[t,n])}"]
    for number in range(_MODULES):
        functions: list[str] = []
        pieces: list[str] = []
        for index in range(8):
            piece = _PIECES[(number + index) % len(_PIECES)]
            names = {"f": f"f{index}", "c": f"C{index}", "g": f"has{rng.choice(_WORDS)}", "p": _word(rng), "q": _word(rng)}
            pieces.append(piece.format(**names, n=rng.randrange(1000), s=f"{_word(rng)}{rng.randrange(10**6)}"))
            if piece.startswith("function"):
                functions.append(f"f{index}({{{names['p']}:{index}}},{{}})")
        needed = ",".join(f"'Bulk{rng.randrange(number)}'" for _ in range(3)) if number else ""
        run = f"l.run=function(){{return[{','.join(functions)}]}};l.{_word(rng)}=f"
        text.append(f"__d('Bulk{number}',[{needed}],(function(t,l){{'use strict';var f=t.length;{''.join(pieces)}{run}}}));")
    return "\n".join(text).encode()


@cache
def styles() -> bytes:
    """Return 1 MB of rules, most of which no element of the page matches."""
    rng = random.Random(2)
    rules = (
        f".x{number:x}{rng.choice(['', ':hover', '>div', '::after'])}{{display:flex;padding:{rng.randrange(40)}px;"
        f"color:rgba({rng.randrange(255)},{rng.randrange(255)},0,.8);transform:translateX({rng.randrange(90)}px);border-radius:{rng.randrange(9)}px}}"
        for number in range(_RULES)
    )
    return "\n".join(rules).encode()
