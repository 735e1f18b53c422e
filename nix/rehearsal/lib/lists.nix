# Lists.
let
  inherit (builtins)
    elem
    elemAt
    filter
    foldl'
    genList
    head
    length
    ;
in
rec {
  inherit (builtins)
    all
    any
    concatLists
    concatMap
    elem
    elemAt
    filter
    foldl'
    genList
    head
    length
    sort
    tail
    ;

  optional = condition: element: if condition then [ element ] else [ ];
  optionals = condition: elements: if condition then elements else [ ];
  singleton = element: [ element ];
  toList = value: if builtins.isList value then value else [ value ];

  imap0 = f: list: genList (i: f i (elemAt list i)) (length list);
  imap1 = f: list: genList (i: f (i + 1) (elemAt list i)) (length list);
  range = first: last: if first > last then [ ] else genList (i: first + i) (last - first + 1);

  last =
    list:
    if list == [ ] then throw "lists.last: list must not be empty!" else elemAt list (length list - 1);
  init =
    list:
    if list == [ ] then
      throw "lists.init: list must not be empty!"
    else
      genList (elemAt list) (length list - 1);

  # The first of equal elements stays.
  unique = foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
  remove = unwanted: filter (x: x != unwanted);
  reverseList = list: genList (i: elemAt list (length list - 1 - i)) (length list);
  subtractLists = unwanted: filter (x: !(elem x unwanted));
  partition = builtins.partition;
  findFirst =
    predicate: default: list:
    let
      found = filter predicate list;
    in
    if found == [ ] then default else head found;
  count = predicate: list: length (filter predicate list);
  flatten = x: if builtins.isList x then builtins.concatMap flatten x else [ x ];
}
