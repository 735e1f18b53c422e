# Whether two values are the same, types included: `==` takes 1 and 1.0 for equal, and compares derivations by name only.
let
  same =
    a: b:
    builtins.typeOf a == builtins.typeOf b
    && (
      if builtins.isAttrs a then
        builtins.attrNames a == builtins.attrNames b
        && builtins.all (key: same a.${key} b.${key}) (builtins.attrNames a)
      else if builtins.isList a then
        builtins.length a == builtins.length b
        && builtins.all (i: same (builtins.elemAt a i) (builtins.elemAt b i)) (
          builtins.genList (i: i) (builtins.length a)
        )
      else if builtins.isFloat a then
        # 0.0 == -0.0, but they print differently.
        a == b && toString a == toString b
      else
        a == b
    );
in
same
